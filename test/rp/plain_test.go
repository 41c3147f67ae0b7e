package rp

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/gin-gonic/gin"
	"golang.org/x/oauth2"

	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/authtest"
	"github.com/ginauth/ginauth/internal/sitetest"
)

func TestPlainProfile(t *testing.T) {
	t.Parallel()
	s := sitetest.NewPlain(t, `{"response":{"id":32742776,"profile":{"nickname":"Ada","image":{"url":"https://pictures.example/a.png"}}},
		"emails":[{"value":"ada@example.com","ok":true},{"value":"other@example.com"}],"https://idp.example/roles":["a","b"],"lang":"en"}`,
		func(_ *sitetest.Site, p *ginauth.Provider) {
			p.ClaimPaths = map[string]string{
				"sub": "response.id", "name": "response.profile.nickname", "picture": "response.profile.image.url", "email": "emails.0.value",
				"email_verified": "emails.0.ok", "locale": "lang", "preferred_username": "not.there",
				"groups": "https://idp.example/roles",
			}
		})
	u := s.AcceptsSignIn(t, "/login/demo")
	want := ginauth.User{Provider: "demo", Issuer: "https://idp.example", Subject: "32742776", Name: "Ada", Email: "ada@example.com", EmailVerified: true,
		Picture: "https://pictures.example/a.png", Locale: "en", Groups: []string{"a", "b"}, AuthTime: u.AuthTime}
	if got, want := sitetest.JSON(u), sitetest.JSON(want); got != want || u.AuthTime.IsZero() {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if s.IDP.Count(authtest.Discovery) != 0 || s.IDP.Count(authtest.JWKS) != 0 {
		t.Error("something was discovered")
	}
	start := s.IDP.LastRequest(authtest.Authorize).Form
	if start.Has("nonce") || start.Get("scope") != "profile email" || start.Get("code_challenge_method") != "S256" {
		t.Errorf("requested with %v", start)
	}
}

// TestPlainIDTokenIsNotRead: an ID token in a plain OAuth 2.0 response is not verified, and
// therefore ignored.
func TestPlainIDTokenIsNotRead(t *testing.T) {
	t.Parallel()
	s := sitetest.NewPlain(t, `{"id":7}`, nil)
	s.IDP.EditToken(func(a map[string]any) {
		a["id_token"] = sitetest.SignHS256(nil, `{"alg":"none"}`, `{"sub":"root","email":"root@example.com"}`)
	})
	if u := s.AcceptsSignIn(t, "/login/demo"); u.Subject != "7" || u.Email != "" {
		t.Errorf("got %+v", u)
	}
}

// If Namespace is the issuer, setting Issuer later keeps every user's id and session.
func TestTheIssuerAsNamespaceKeepsIDs(t *testing.T) {
	t.Parallel()
	f := sitetest.NewFlow(t, func(s *sitetest.Site, o *ginauth.Options) {
		sitetest.Plain(s, o)
		o.Providers[0].Namespace, o.Providers[0].ClaimPaths, o.Providers[0].Scopes = s.IDP.Issuer, nil, []string{"openid", "profile", "email"}
	})
	before := f.AcceptsSignIn(t, "/login/demo")
	f.Redeploy(func(o *ginauth.Options) { o.Providers = []ginauth.Provider{sitetest.Client("demo", f.IDP)} })
	if u := f.User(); u == nil || u.ID() != before.ID() {
		t.Errorf("the session of %s is one of %v now", before.ID(), u)
	}
	f.Browser = f.NewBrowser()
	if after := f.AcceptsSignIn(t, "/login/demo"); after.ID() != before.ID() || f.IDP.Count(authtest.JWKS) == 0 {
		t.Errorf("%s is %s now", before.ID(), after.ID())
	}
}

// profile returns a Profile function that uses the userinfo endpoint of its site.
func profileOf(read func(ctx context.Context, get func(address string) (*http.Response, error), s *sitetest.Site) (map[string]any, error)) func(s *sitetest.Site, p *ginauth.Provider) {
	return func(s *sitetest.Site, p *ginauth.Provider) {
		p.UserinfoURL, p.ClaimPaths = "", nil
		p.Quirks.Header = map[string]string{"X-Api-Version": "7"}
		p.Profile = func(ctx context.Context, client *http.Client, _ *oauth2.Token) (map[string]any, error) {
			return read(ctx, func(address string) (*http.Response, error) {
				req, err := http.NewRequestWithContext(ctx, "GET", address, nil)
				if err != nil {
					return nil, err
				}
				return client.Do(req)
			}, s)
		}
	}
}

type getter = func(address string) (*http.Response, error)

func TestProfileFunc(t *testing.T) {
	t.Parallel()
	s := sitetest.NewPlain(t, `{"id":7,"name":"Ada"}`, profileOf(func(_ context.Context, get getter, s *sitetest.Site) (map[string]any, error) {
		var me struct {
			ID   int64
			Name string
		}
		for range 2 {
			resp, err := get(s.IDP.URL(authtest.Userinfo))
			if err != nil {
				return nil, err
			}
			defer resp.Body.Close()
			if err := json.NewDecoder(resp.Body).Decode(&me); err != nil {
				return nil, err
			}
		}
		return map[string]any{"sub": me.ID, "name": me.Name, "groups": []string{"a", "b"}, "email": "ada@example.com", "email_verified": true}, nil
	}))
	u := s.AcceptsSignIn(t, "/login/demo")
	if u.ID() != "https://idp.example#7" || u.Name != "Ada" || fmt.Sprint(u.Groups) != "[a b]" || !u.EmailVerified {
		t.Errorf("got %+v", u)
	}
	requests := s.IDP.Requests(authtest.Userinfo)
	if len(requests) != 2 {
		t.Fatalf("called %d times", len(requests))
	}
	for _, r := range requests {
		if !strings.HasPrefix(r.Header.Get("Authorization"), "Bearer ") || r.Header.Get("X-Api-Version") != "7" || !strings.HasPrefix(r.Header.Get("User-Agent"), "ginauth/") || r.URL.RawQuery != "" {
			t.Errorf("requested with %v", r.Header)
		}
	}
}

func TestProfileFuncFails(t *testing.T) {
	read := func(s *sitetest.Site, get getter) (map[string]any, error) {
		resp, err := get(s.IDP.URL(authtest.Userinfo))
		if err != nil {
			return nil, err
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		return map[string]any{"sub": "ada", "size": len(body)}, err
	}
	for name, tt := range map[string]struct {
		code  ginauth.Code
		fault authtest.Fault
		give  func(s *sitetest.Site, get getter) (map[string]any, error)
	}{
		"an error": {ginauth.ErrProviderUnavailable, "", func(*sitetest.Site, getter) (map[string]any, error) { return nil, sitetest.ErrRefused }},
		"an Error": {ginauth.ErrIdentityRejected, "", func(*sitetest.Site, getter) (map[string]any, error) {
			return nil, &ginauth.Error{Code: ginauth.ErrIdentityRejected}
		}},
		"a panic": {ginauth.ErrSessionError, "", func(*sitetest.Site, getter) (map[string]any, error) { panic("a bug") }},
		"nothing": {ginauth.ErrIdentityRejected, "", func(*sitetest.Site, getter) (map[string]any, error) { return nil, nil }},
		"nobody":  {ginauth.ErrIdentityRejected, "", func(*sitetest.Site, getter) (map[string]any, error) { return map[string]any{"name": "Ada"}, nil }},
		"two readings": {ginauth.ErrIdentityRejected, "", func(*sitetest.Site, getter) (map[string]any, error) {
			return map[string]any{"sub": "ada", "Sub": "eve"}, nil
		}},
		"a channel": {ginauth.ErrIdentityRejected, "", func(*sitetest.Site, getter) (map[string]any, error) {
			return map[string]any{"sub": "ada", "x": make(chan int)}, nil
		}},
		"a redirect":        {ginauth.ErrProviderUnavailable, authtest.Redirecting, read},
		"an endless answer": {ginauth.ErrProviderUnavailable, authtest.Endless, read},
		"a reset":           {ginauth.ErrProviderUnavailable, authtest.Resetting, read},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := sitetest.NewPlain(t, "", profileOf(func(_ context.Context, get getter, s *sitetest.Site) (map[string]any, error) { return tt.give(s, get) }))
			s.IDP.Fail(authtest.Userinfo, tt.fault)
			s.RefusesSignIn(t, "/login/demo", tt.code, "", 1)
			if n := s.IDP.EvilRequests(); n != 0 {
				t.Errorf("the redirect was followed %d times", n)
			}
		})
	}
}

// called makes a provider's endpoints use another name for client_id, and registers a second
// client with another id.
func called(s *sitetest.Site, param, second string) {
	own := func(form url.Values) {
		id := form.Get(param)
		if id == second && second != "" {
			id = s.IDP.ClientID
		}
		form.Del(param)
		form.Set("client_id", id)
	}
	s.IDP.Handle(authtest.Authorize, func(w http.ResponseWriter, r *http.Request) {
		q := r.URL.Query()
		own(q)
		r = r.Clone(r.Context())
		r.Form, r.URL.RawQuery = nil, q.Encode()
		s.IDP.Default(authtest.Authorize).ServeHTTP(w, r)
	})
	s.IDP.Handle(authtest.Token, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		form, _ := url.ParseQuery(string(body))
		own(form)
		r = r.Clone(r.Context())
		r.Form, r.PostForm, r.Body = nil, nil, io.NopCloser(strings.NewReader(form.Encode()))
		s.IDP.Default(authtest.Token).ServeHTTP(w, r)
	})
}

func TestClientIDParamAndScopeSeparator(t *testing.T) {
	t.Parallel()
	s := sitetest.NewPlain(t, `{"id":7}`, func(s *sitetest.Site, p *ginauth.Provider) {
		p.Quirks.ClientIDParam, p.Quirks.ScopeSeparator, p.AuthMethod = "client_key", ",", "client_secret_post"
		called(s, "client_key", "")
	})
	s.AcceptsSignIn(t, "/login/demo")
	start, token := s.IDP.LastRequest(authtest.Authorize).URL.Query(), s.IDP.LastRequest(authtest.Token)
	if start.Get("client_key") != s.IDP.ClientID || start.Has("client_id") || start.Get("scope") != "profile,email" {
		t.Errorf("the authorization request is %v", start)
	}
	form, err := url.ParseQuery(string(token.Body))
	if err != nil || form.Get("client_key") != s.IDP.ClientID || form.Has("client_id") || form.Get("client_secret") != s.IDP.ClientSecret {
		t.Errorf("the token request is %s", token.Body)
	}
}

// TestTwoOfOneKind: with two registrations at one provider, a user has the same id in both.
func TestTwoOfOneKind(t *testing.T) {
	t.Parallel()
	s := sitetest.New(t, func(s *sitetest.Site, o *ginauth.Options) {
		second := sitetest.Client("second", s.IDP)
		second.ClientID, second.AuthMethod = "second-client", "client_secret_post"
		o.Providers[0].AuthMethod = "client_secret_post"
		o.Providers = append(o.Providers, second)
		called(s, "client_id", "second-client")
		s.IDP.EditIDToken(func(_, c map[string]any) {
			form, _ := url.ParseQuery(string(s.IDP.LastRequest(authtest.Token).Body))
			c["aud"] = form.Get("client_id")
		})
	})
	first := s.AcceptsSignIn(t, "/login/demo")
	second := s.AcceptsSignIn(t, "/login/second")
	if first.Provider != "demo" || second.Provider != "second" || first.ID() != second.ID() {
		t.Errorf("got %+v and %+v", first, second)
	}
	if got := s.IDP.LastRequest(authtest.Authorize).URL.Query().Get("redirect_uri"); got != s.URL+"/authorize/second" {
		t.Errorf("redirect_uri is %q", got)
	}
	s.Browser = s.NewBrowser()
	s.IDP.EditIDToken(func(_, c map[string]any) { c["aud"] = "demo-client" }) // the token of one client in a sign-in of the other
	s.RefusesSignIn(t, "/login/second", ginauth.ErrIDTokenInvalid, "jwt.audience", 3)
}

func TestEditAuthorize(t *testing.T) {
	t.Parallel()
	s := sitetest.New(t, func(_ *sitetest.Site, o *ginauth.Options) {
		o.Providers[0].AuthParams = map[string]string{"audience": "api", "dropped": "x"}
		o.Providers[0].Quirks.EditAuthorize = func(q url.Values) {
			q.Del("dropped")
			q.Set("added", "a b&c")
			q.Set("scope", "openid profile email groups")
			for _, name := range []string{"state", "nonce", "redirect_uri", "code_challenge", "code_challenge_method"} {
				q[name] = []string{"mine", "twice"}
			}
		}
	})
	s.AcceptsSignIn(t, "/login/demo")
	q := s.IDP.LastRequest(authtest.Authorize).URL.Query()
	if q.Get("audience") != "api" || q.Has("dropped") || q.Get("added") != "a b&c" || q.Get("scope") != "openid profile email groups" {
		t.Errorf("sent %v", q)
	}
	for name, values := range q {
		if len(values) != 1 || values[0] == "mine" {
			t.Errorf("%s is %q", name, values)
		}
	}
}

func TestEditToken(t *testing.T) {
	t.Parallel()
	var seen url.Values
	s := sitetest.New(t, func(_ *sitetest.Site, o *ginauth.Options) {
		o.Providers[0].Quirks.EditToken = func(form, callback url.Values) {
			seen = url.Values{"code": callback["code"], "device": callback["device_id"]}
			form.Set("device_id", callback.Get("device_id"))
			form.Set("resource", "https://api.example")
			callback.Set("code", "mine")
		}
	})
	s.IDP.EditAnswer(func(answer url.Values) { answer.Set("device_id", "d/7") })
	s.AcceptsSignIn(t, "/login/demo")
	form := s.IDP.LastRequest(authtest.Token).Form
	if form.Get("device_id") != "d/7" || form.Get("resource") != "https://api.example" || form.Get("code") != seen.Get("code") || form.Get("code_verifier") == "" {
		t.Errorf("sent %v, saw %v", form, seen)
	}
}

func TestNormalizeToken(t *testing.T) {
	nested := func(_ http.Header, body []byte) ([]byte, error) {
		var a struct {
			Code int
			Data json.RawMessage
		}
		if err := json.Unmarshal(body, &a); err != nil || a.Code != 0 {
			return nil, errors.New("an answer with a code")
		}
		return a.Data, nil
	}
	form := func(h http.Header, body []byte) ([]byte, error) {
		values, err := url.ParseQuery(string(body))
		if err != nil || !strings.HasPrefix(h.Get("Content-Type"), "application/x-www-form-urlencoded") {
			return nil, errors.New("not a form")
		}
		flat := map[string]string{}
		for name := range values {
			flat[name] = values.Get(name)
		}
		return json.Marshal(flat)
	}
	asForm := func(a *sitetest.Answer) {
		var flat map[string]any
		_ = json.Unmarshal([]byte(a.Body), &flat)
		values := url.Values{}
		for name, v := range flat {
			values.Set(name, fmt.Sprint(v))
		}
		a.Media, a.Body = "application/x-www-form-urlencoded; charset=utf-8", values.Encode()
	}
	for _, tt := range []struct {
		name      string
		normalize func(http.Header, []byte) ([]byte, error)
		change    func(a *sitetest.Answer)
		code      ginauth.Code
	}{
		{"a form", form, asForm, ""},
		{"nested", nested, func(a *sitetest.Answer) { a.Body = `{"code":0,"data":` + a.Body + `}` }, ""},
		{"an error of its own", nested, func(a *sitetest.Answer) { a.Body = `{"code":7}` }, ginauth.ErrBadTokenResponse},
		{"what it makes is checked", nested, func(a *sitetest.Answer) { a.Body = `{"code":0,"data":{"access_token":"a"}}` }, ginauth.ErrBadTokenResponse},
		{"an error in the standard's shape", nested, func(a *sitetest.Answer) { a.Body = `{"code":0,"data":{"error":"invalid_grant"}}` }, ginauth.ErrCodeRejected},
		{"another status is not its matter", nested, func(a *sitetest.Answer) { a.Status, a.Body = 400, `{"error":"invalid_grant"}` }, ginauth.ErrCodeRejected},
		{"a panic", func(http.Header, []byte) ([]byte, error) { panic("a bug") }, func(*sitetest.Answer) {}, ginauth.ErrSessionError},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := sitetest.NewPlain(t, `{"id":7}`, func(_ *sitetest.Site, p *ginauth.Provider) { p.Quirks.NormalizeToken = tt.normalize })
			sitetest.EditAnswer(s, authtest.Token, tt.change)
			if tt.code == "" {
				s.AcceptsSignIn(t, "/login/demo")
				return
			}
			s.RefusesSignIn(t, "/login/demo", tt.code, "", 1)
		})
	}
}

func TestDisablePKCEAndNonce(t *testing.T) {
	t.Parallel()
	s := sitetest.New(t, func(_ *sitetest.Site, o *ginauth.Options) {
		o.Providers[0].Quirks.DisablePKCE, o.Providers[0].Quirks.DisableNonce = true, true
	})
	s.AcceptsSignIn(t, "/login/demo")
	start, token := s.IDP.LastRequest(authtest.Authorize).Form, s.IDP.LastRequest(authtest.Token).Form
	for _, name := range []string{"code_challenge", "code_challenge_method", "nonce", "code_verifier"} {
		if start.Has(name) || token.Has(name) {
			t.Errorf("%s was sent", name)
		}
	}
	if !start.Has("state") {
		t.Error("state was not sent")
	}
}

func TestClientSecretFunc(t *testing.T) {
	t.Parallel()
	made := 0
	s := sitetest.New(t, func(s *sitetest.Site, o *ginauth.Options) {
		o.Providers[0].ClientSecret = ""
		o.Providers[0].ClientSecretFunc = func(ctx context.Context) (string, error) {
			made++
			if ctx.Err() != nil {
				t.Error("the context is over")
			}
			return s.IDP.ClientSecret, nil
		}
	})
	s.SignIn()
	s.SignIn()
	if made != 2 {
		t.Errorf("it was called %d times", made)
	}
	for name, tt := range map[string]struct {
		code ginauth.Code
		give func() (string, error)
	}{
		"an error": {ginauth.ErrProviderMisconfigured, func() (string, error) { return "half a secret of some length", sitetest.ErrRefused }},
		"nothing":  {ginauth.ErrProviderMisconfigured, func() (string, error) { return "", nil }},
		"a panic":  {ginauth.ErrSessionError, func() (string, error) { panic("a bug") }},
	} {
		s := sitetest.New(t, func(_ *sitetest.Site, o *ginauth.Options) {
			o.Providers[0].ClientSecret = ""
			o.Providers[0].ClientSecretFunc = func(context.Context) (string, error) { return tt.give() }
		})
		t.Log(name)
		s.RefusesSignIn(t, "/login/demo", tt.code, "", 0)
	}
}

// TestEndpointsByHand: configured endpoints take precedence, and the others are discovered.
func TestEndpointsByHand(t *testing.T) {
	for _, tt := range []struct {
		name   string
		fields []string
		asks   int // discovery
	}{
		{"one", []string{"token"}, 1},
		{"all but the userinfo", []string{"authorize", "token", "jwks"}, 0},
		{"the userinfo alone", []string{"userinfo"}, 1},
		{"all", []string{"authorize", "token", "jwks", "userinfo"}, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var other map[string]int
			s := sitetest.New(t, func(s *sitetest.Site, o *ginauth.Options) {
				var inside *httptest.Server // the provider's address inside the container network
				inside, other = insideNetwork(t, s.IDP)
				p := &o.Providers[0]
				for _, field := range tt.fields {
					*map[string]*string{"authorize": &p.AuthorizeURL, "token": &p.TokenURL, "jwks": &p.JWKSURL, "userinfo": &p.UserinfoURL}[field] = inside.URL + "/" + field
				}
			})
			s.IDP.EditMetadata(func(m map[string]any) { // configured endpoints are ignored here
				for _, field := range tt.fields {
					m[map[string]string{"authorize": "authorization_endpoint", "token": "token_endpoint", "jwks": "jwks_uri", "userinfo": "userinfo_endpoint"}[field]] = "javascript:alert(1)"
				}
			})
			s.IDP.EditIDToken(func(_, c map[string]any) { delete(c, "name") })
			u := s.AcceptsSignIn(t, "/login/demo")
			if s.IDP.Count(authtest.Discovery) != tt.asks {
				t.Errorf("discovered %d times", s.IDP.Count(authtest.Discovery))
			}
			for _, field := range []string{"authorize", "token", "jwks", "userinfo"} {
				if got, want := other[field] > 0, slices.Contains(tt.fields, field); got != want {
					t.Errorf("%s configured is %t, requested there is %t", field, want, got)
				}
			}
			if asked := tt.asks > 0 || slices.Contains(tt.fields, "userinfo"); (u.Name != "") != asked {
				t.Errorf("the name is %q", u.Name)
			}
		})
	}
}

// insideNetwork is a second address of a provider, with the number of its requests.
func insideNetwork(t *testing.T, idp *authtest.Provider) (*httptest.Server, map[string]int) {
	t.Helper()
	asked := map[string]int{}
	mux := http.NewServeMux()
	for path, e := range map[string]authtest.Endpoint{"authorize": authtest.Authorize, "token": authtest.Token, "jwks": authtest.JWKS, "userinfo": authtest.Userinfo} {
		mux.HandleFunc("/"+path, func(w http.ResponseWriter, r *http.Request) {
			asked[path]++
			idp.Default(e).ServeHTTP(w, r)
		})
	}
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return server, asked
}

// TestEmailVerifiedSeesWhatWasSent: EmailVerified receives the profile as sent, not as mapped by
// ClaimPaths.
func TestEmailVerifiedSeesWhatWasSent(t *testing.T) {
	t.Parallel()
	s := sitetest.New(t, func(s *sitetest.Site, o *ginauth.Options) {
		sitetest.Plain(s, o)
		p := &o.Providers[0]
		p.ClaimPaths["email"] = "mail"
		p.EmailVerified = func(c map[string]any) bool { return c["mail_state"] == "confirmed" && c["email"] == nil }
		o.Hooks.OnLogin = func(_ *gin.Context, login *ginauth.Login) error {
			var c sitetest.Claims
			if err := login.User.Claims(&c); err != nil || c["mail"] != "ada@example.com" || c["email"] != nil {
				return fmt.Errorf("claims are %v, %v", c, err)
			}
			return nil
		}
	})
	s.IDP.Handle(authtest.Userinfo, sitetest.AnswerWith(200, "application/json", `{"id":7,"mail":"ada@example.com","mail_state":"confirmed"}`))
	if u := s.AcceptsSignIn(t, "/login/demo"); !u.EmailVerified || u.Email != "ada@example.com" {
		t.Errorf("got %+v", u)
	}
}
