package authtest_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ginauth/ginauth/authtest"
)

func TestFaultsOfTheAnswer(t *testing.T) {
	p := start(t, authtest.Config{})
	for _, test := range []struct {
		fault  authtest.Fault
		status int
		header string // its value says what
		value  string
	}{
		{authtest.Down, 503, "", ""},
		{authtest.ServerError, 500, "", ""},
		{authtest.HTML, 200, "Content-Type", "text/html; charset=utf-8"},
		{authtest.Redirecting, 302, "Location", p.EvilURL()},
		{authtest.Redirecting307, 307, "Location", p.EvilURL()},
	} {
		for _, endpoint := range []authtest.Endpoint{authtest.Discovery, authtest.Authorize, authtest.Token, authtest.Userinfo, authtest.JWKS, authtest.EndSession} {
			p.Fail(endpoint, test.fault)
			response, _ := get(t, p, p.URL(endpoint))
			if response.StatusCode != test.status || test.header != "" && response.Header.Get(test.header) != test.value {
				t.Errorf("%s, %s: %d", endpoint, test.fault, response.StatusCode)
			}
		}
	}
	p.Heal()
	if response, _ := get(t, p, p.URL(authtest.Discovery)); response.StatusCode != 200 {
		t.Errorf("healed: %d", response.StatusCode)
	}
	if p.EvilRequests() != 0 {
		t.Error("something followed a redirect")
	}
	p.Fail(authtest.JWKS, authtest.Down)
	p.Fail(authtest.JWKS, "")
	if response, _ := get(t, p, p.URL(authtest.JWKS)); response.StatusCode != 200 {
		t.Errorf("one endpoint healed: %d", response.StatusCode)
	}
}

func TestRedirecting307RepeatsThePost(t *testing.T) {
	p := start(t, authtest.Config{})
	p.Fail(authtest.Token, authtest.Redirecting307)
	response, err := p.HTTPClient().PostForm(p.URL(authtest.Token), url.Values{"code": {"secret"}}) // a careless client
	if err != nil {
		t.Fatal(err)
	}
	read(t, response)
	if p.EvilRequests() != 1 {
		t.Errorf("%d evil requests", p.EvilRequests())
	}
}

func TestOversized(t *testing.T) {
	p := start(t, authtest.Config{})
	p.Fail(authtest.Discovery, authtest.Oversized)
	response, err := p.HTTPClient().Get(p.URL(authtest.Discovery))
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if inflated, err := io.Copy(io.Discard, response.Body); err != nil || inflated < 200<<20 {
		t.Errorf("inflates to %d bytes: %v", inflated, err)
	}
	raw := &http.Transport{DisableCompression: true}
	response, err = (&http.Client{Transport: raw}).Get(p.URL(authtest.Discovery))
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if sent, err := io.Copy(io.Discard, response.Body); err != nil || sent > 300<<10 {
		t.Errorf("%d bytes were sent: %v", sent, err)
	}
}

func TestBodiesWithoutEnd(t *testing.T) {
	p := start(t, authtest.Config{})
	for fault, enough := range map[authtest.Fault]int64{authtest.Endless: 4 << 20, authtest.Dripping: 3} {
		p.Fail(authtest.Userinfo, fault)
		response, err := p.HTTPClient().Get(p.URL(authtest.Userinfo))
		if err != nil {
			t.Fatal(err)
		}
		if got, err := io.CopyN(io.Discard, bufio.NewReader(response.Body), enough); got != enough {
			t.Errorf("%s: %d bytes, %v", fault, got, err)
		}
		response.Body.Close()
	}
}

func TestNoAnswer(t *testing.T) {
	for _, encrypted := range []bool{false, true} {
		p := start(t, authtest.Config{TLS: encrypted})
		p.Fail(authtest.Token, authtest.Hanging)
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		request, _ := http.NewRequestWithContext(ctx, http.MethodPost, p.URL(authtest.Token), strings.NewReader("a=b"))
		if _, err := p.HTTPClient().Do(request); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("hanging: %v", err)
		}
		p.Fail(authtest.Token, authtest.Resetting)
		if _, err := p.HTTPClient().PostForm(p.URL(authtest.Token), nil); err == nil {
			t.Error("a reset connection answered")
		}
	}
}

func TestFaultsOfTheIDToken(t *testing.T) {
	clock := newClock()
	p := start(t, authtest.Config{Now: clock.now})
	sound := claimsOf(t, tokens(t, p, "ada")["id_token"])
	for fault, claim := range map[authtest.Fault]string{
		authtest.WrongNonce: "nonce", authtest.WrongIssuer: "iss", authtest.WrongAudience: "aud", authtest.Expired: "exp",
	} {
		p.Fail(authtest.Token, fault)
		compact := tokens(t, p, "ada")["id_token"].(string)
		payload, err := verified(t, p, compact, "RS256")
		if err != nil {
			t.Errorf("%s: %v", fault, err)
		}
		if claims := object(t, string(payload)); claims[claim] == sound[claim] || claims["sub"] != "ada" {
			t.Errorf("%s: %v", fault, claims)
		}
	}
	p.Fail(authtest.Token, authtest.WrongSignature)
	if _, err := verified(t, p, tokens(t, p, "ada")["id_token"].(string), "RS256"); err == nil {
		t.Error("the signature of a stranger verifies")
	}
	p.Fail(authtest.Token, authtest.NoIDToken)
	if answer := tokens(t, p, "ada"); answer["id_token"] != nil || answer["access_token"] == nil {
		t.Errorf("answer %v", answer)
	}
}

func TestFailPanicsOnWhatCannotBe(t *testing.T) {
	p := start(t, authtest.Config{})
	for _, try := range []func(){
		func() { p.Fail(authtest.Userinfo, authtest.WrongNonce) },
		func() { p.Fail(authtest.Token, "no such fault") },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Error("no panic")
				}
			}()
			try()
		}()
	}
}

func TestEdits(t *testing.T) {
	p := start(t, authtest.Config{})
	p.EditMetadata(func(m map[string]any) { m["issuer"] = "changed" })
	p.EditJWKS(func(keys []map[string]any) []map[string]any { return append(keys, map[string]any{"kty": "odd"}) })
	p.EditIDToken(func(header, claims map[string]any) { header["typ"], claims["sub"] = "odd", "changed" })
	p.EditToken(func(answer map[string]any) { answer["token_type"] = "changed" })
	p.EditUserinfo(func(claims map[string]any) { claims["sub"] = "changed" })
	p.EditAnswer(func(answer url.Values) { answer.Set("iss", "changed"); answer.Add("code", "second") })
	seen := func() [6]bool {
		_, metadata := get(t, p, p.URL(authtest.Discovery))
		_, keys := get(t, p, p.URL(authtest.JWKS))
		p.SignInAs("ada")
		authorized := authorize(t, p, authorization(p))
		_, answer := redeem(t, p, redemption(authorized.Get("code")))
		_, info := userinfo(t, p, answer["access_token"].(string))
		return [6]bool{
			object(t, metadata)["issuer"] == "changed", strings.Contains(keys, "odd"),
			claimsOf(t, answer["id_token"])["sub"] == "changed", answer["token_type"] == "changed",
			info["sub"] == "changed", authorized.Get("iss") == "changed" && len(authorized["code"]) == 2,
		}
	}
	if got := seen(); got != [6]bool{true, true, true, true, true, true} {
		t.Errorf("edited: %v", got)
	}
	p.ReplaceIDToken(func(compact string) string { return "x" + compact })
	if got := tokens(t, p, "ada")["id_token"].(string); !strings.HasPrefix(got, "xey") {
		t.Errorf("replaced: %s", got)
	}
	p.EditMetadata(nil)
	p.EditJWKS(nil)
	p.EditIDToken(nil)
	p.ReplaceIDToken(nil)
	p.EditToken(nil)
	p.EditUserinfo(nil)
	p.EditAnswer(nil)
	if got := seen(); got != [6]bool{} {
		t.Errorf("given back: %v", got)
	}
}

func TestHandle(t *testing.T) {
	p := start(t, authtest.Config{})
	p.Handle(authtest.JWKS, func(w http.ResponseWriter, r *http.Request) {
		if p.Count(authtest.JWKS) == 1 {
			w.WriteHeader(http.StatusTeapot)
			return
		}
		p.Default(authtest.JWKS).ServeHTTP(w, r)
	})
	for _, want := range []int{http.StatusTeapot, http.StatusOK} {
		if response, _ := get(t, p, p.URL(authtest.JWKS)); response.StatusCode != want {
			t.Errorf("status %d, want %d", response.StatusCode, want)
		}
	}
	p.Handle(authtest.Token, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, `{"code":"`+r.FormValue("code")+`"}`)
	})
	if _, answer := redeem(t, p, redemption("the code")); answer["code"] != "the code" {
		t.Errorf("the handler saw %v", answer)
	}
	p.Handle(authtest.Token, nil)
	if status, _ := redeem(t, p, redemption("the code")); status != http.StatusBadRequest {
		t.Errorf("given back: %d", status)
	}
	response := p.Default("nothing")
	if response == nil {
		t.Error("no handler for an unknown endpoint")
	}
}

func TestProviderIsSafeForConcurrentUse(t *testing.T) {
	p := start(t, authtest.Config{})
	p.SignInAs("ada")
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			response, err := client(p).Get(p.URL(authtest.Authorize) + "?" + authorization(p).Encode())
			if err != nil {
				t.Error(err)
				return
			}
			response.Body.Close()
			p.RotateKey()
			p.Fail(authtest.JWKS, authtest.Down)
			p.EditToken(nil)
			p.AddPerson(authtest.Person{Subject: "ada"})
			p.Sign(nil, nil)
			p.Requests(authtest.Authorize)
		})
	}
	group.Wait()
	if p.Count(authtest.Authorize) != 8 {
		t.Errorf("%d requests", p.Count(authtest.Authorize))
	}
}
