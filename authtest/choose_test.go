package authtest_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/ginauth/ginauth/authtest"
)

// stopAtApp keeps a browser from leaving for the application, which the tests
// of the provider do not have.
func stopAtApp(next *url.URL) bool { return next.Host == "app.example.com" }

func TestChoosing(t *testing.T) {
	for _, test := range []struct {
		name   string
		button string
		fields url.Values
		want   map[string]any // claims; nil if the answer is access_denied
	}{
		{"a person", "Grace Hopper", nil, map[string]any{"sub": "grace", "name": "Grace Hopper", "email_verified": true}},
		{"a person whose e-mail is not verified", "Eve", nil, map[string]any{"sub": "eve", "email_verified": false}},
		{"nobody", "Cancel", nil, nil},
		{"somebody else", "Sign in", set("name", " Åsa  Öst ", "email", "asa@example.com"),
			map[string]any{"name": "Åsa  Öst", "email": "asa@example.com", "email_verified": false}},
		{"somebody else, verified", "Sign in", set("email", "asa@example.com", "verified", "yes"),
			map[string]any{"name": nil, "email": "asa@example.com", "email_verified": true}},
		{"somebody else without an address", "Sign in", set("name", "Åsa", "verified", "yes"),
			map[string]any{"name": "Åsa", "email": nil, "email_verified": nil}},
	} {
		for _, mode := range []string{"query", "form_post"} {
			t.Run(test.name+" by "+mode, func(t *testing.T) {
				p, b := start(t, authtest.Config{}), authtest.NewBrowser()
				b.StopAt = stopAtApp
				page, err := b.Get(p.URL(authtest.Authorize) + "?" + authorization(p, "response_mode", mode).Encode())
				if err != nil {
					t.Fatal(err)
				}
				page, err = b.SubmitForm(page, test.button, test.fields)
				if err != nil {
					t.Fatal(err)
				}
				answer := answerOf(t, page, mode)
				if answer.Get("state") != "a state" || answer.Get("iss") != p.Issuer {
					t.Errorf("answer %v", answer)
				}
				if test.want == nil {
					if answer.Get("error") != "access_denied" || answer.Has("code") {
						t.Errorf("answer %v", answer)
					}
					return
				}
				_, tokens := redeem(t, p, redemption(answer.Get("code")))
				claims := claimsOf(t, tokens["id_token"])
				for name, want := range test.want {
					if claims[name] != want {
						t.Errorf("%s is %v, want %v", name, claims[name], want)
					}
				}
			})
		}
	}
}

// answerOf reads the answer that a page is about to carry to the application.
func answerOf(t *testing.T, p *authtest.Page, mode string) url.Values {
	t.Helper()
	if mode == "query" {
		location, err := url.Parse(p.Header.Get("Location"))
		if err != nil || p.Status != http.StatusSeeOther || !strings.HasPrefix(location.String(), callback+"&") {
			t.Fatalf("%d to %v, %v", p.Status, location, err)
		}
		return location.Query()
	}
	forms := p.Forms()
	if len(forms) != 1 || forms[0].Action != callback || forms[0].Method != http.MethodPost || len(forms[0].Buttons) != 1 {
		t.Fatalf("forms %+v on %s", forms, p.Text())
	}
	if forms[0].ID != "form_post" || !strings.Contains(p.Text(), "<script nonce=") {
		t.Errorf("the page does not submit itself: %s", p.Text())
	}
	return forms[0].Fields
}

func TestTypedPeopleAreRemembered(t *testing.T) {
	p, b := start(t, authtest.Config{People: []authtest.Person{}}), authtest.NewBrowser()
	b.StopAt = stopAtApp
	subject := func(fields url.Values) any {
		t.Helper()
		page, err := b.Get(p.URL(authtest.Authorize) + "?" + authorization(p).Encode())
		if err != nil {
			t.Fatal(err)
		}
		page, err = b.SubmitForm(page, "Sign in", fields)
		if err != nil {
			t.Fatal(err)
		}
		_, tokens := redeem(t, p, redemption(answerOf(t, page, "query").Get("code")))
		return claimsOf(t, tokens["id_token"])["sub"]
	}
	first := subject(set("name", "A", "email", "a@example.com"))
	if again := subject(set("name", "Another name", "email", "A@Example.com")); again != first {
		t.Errorf("the same address is %v, then %v", first, again)
	}
	if other := subject(set("name", "A")); other == first {
		t.Error("a name alone is the same person as an address")
	}
	page, err := b.Get(p.URL(authtest.Authorize) + "?" + authorization(p).Encode())
	if err != nil || !strings.Contains(page.Text(), "Another name") {
		t.Errorf("the page does not list who was typed: %v", err)
	}
}

func TestChoosingNobody(t *testing.T) {
	p, b := start(t, authtest.Config{}), authtest.NewBrowser()
	ask := p.URL(authtest.Authorize) + "?" + authorization(p).Encode()
	page, err := b.Get(ask)
	if err != nil {
		t.Fatal(err)
	}
	again, err := b.SubmitForm(page, "Sign in", set("name", " "))
	if err != nil || !strings.Contains(again.Text(), "Ada Lovelace") {
		t.Errorf("an empty name: %v", err)
	}
	again, err = b.SubmitForm(page, "Ada", set("person", "no such subject"))
	if err != nil || !strings.Contains(again.Text(), "Ada Lovelace") {
		t.Errorf("an unknown subject: %v", err)
	}
	changed, err := b.SubmitForm(page, "Ada", set("request", authorization(p, "client_id", "other").Encode()))
	if err != nil || changed.Status != http.StatusBadRequest {
		t.Errorf("another client: %v, %v", changed, err)
	}
	b.StopAt = stopAtApp
	changed, err = b.SubmitForm(page, "Ada", set("request", authorization(p, "response_type", "token").Encode()))
	if err != nil || !strings.Contains(changed.Header.Get("Location"), "unsupported_response_type") {
		t.Errorf("another response type: %v, %v", changed, err)
	}
}

func TestPublicClientNeedsPKCE(t *testing.T) {
	p := start(t, authtest.Config{Public: true})
	p.SignInAs("ada")
	if answer := authorize(t, p, authorization(p, "code_challenge", "-", "code_challenge_method", "-")); answer.Get("error") != "invalid_request" {
		t.Errorf("answer %v", answer)
	}
}

func TestIndexPage(t *testing.T) {
	p := start(t, authtest.Config{})
	b := authtest.NewBrowser()
	page, err := b.Get(p.Issuer)
	if err != nil || !strings.Contains(page.Text(), "demo provider for development") {
		t.Fatalf("%v", err)
	}
	if page, err := b.ClickLink(page, "metadata"); err != nil || object(t, page.Text())["issuer"] != p.Issuer {
		t.Errorf("%v, %v", page, err)
	}
	if page, err := b.Get(p.Issuer + "/nothing"); err != nil || page.Status != http.StatusNotFound {
		t.Errorf("%v, %v", page, err)
	}
}
