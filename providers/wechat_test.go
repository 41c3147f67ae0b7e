package providers_test

import (
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/ginauth/ginauth"
)

// WeChat compares the address with a pattern, down to the order.
func TestWeChatParametersInTheirOrder(t *testing.T) {
	for _, name := range []string{"wechat", "wechat-official-account"} {
		s := newStandIn(t, name)
		s.app(s.provider()).signIn()
		if len(s.params) != 5 {
			t.Errorf("%s: the authorization request has %v", name, s.params)
		}
		for _, param := range []string{"appid", "redirect_uri", "response_type", "scope", "state"} { // as Encode sorts them
			if !s.params.Has(param) {
				t.Errorf("%s: the authorization request has no %s", name, param)
			}
		}
	}
}

// Errors come under status 200.
func TestWeChatTokenErrors(t *testing.T) {
	for _, tt := range []struct {
		answer   string
		code     ginauth.Code
		id, part string
	}{
		{`{"errcode":40029,"errmsg":"invalid code"}`, ginauth.ErrCodeRejected, "token.invalid_grant", `\"invalid_grant\"`},
		{`{"errcode":40163,"errmsg":"code been used"}`, ginauth.ErrCodeRejected, "token.invalid_grant", `\"invalid_grant\"`},
		{`{"errcode":"42003","errmsg":"code expired"}`, ginauth.ErrCodeRejected, "token.invalid_grant", `\"invalid_grant\"`},
		{`{"errcode":40013,"errmsg":"invalid appid"}`, ginauth.ErrProviderMisconfigured, "token.invalid_client", `\"invalid_client\"`},
		{`{"errcode":40125,"errmsg":"invalid appsecret"}`, ginauth.ErrProviderMisconfigured, "token.invalid_client", `\"invalid_client\"`},
		{`{"errcode":-1,"errmsg":"system error"}`, ginauth.ErrProviderUnavailable, "token.unavailable", `\"temporarily_unavailable\"`},
		{`{"errcode":48001,"errmsg":"api unauthorized"}`, ginauth.ErrProviderError, "token.error", `\"invalid_request\"`},
		{`{"errcode":48001,"access_token":"x","openid":"y"}`, ginauth.ErrProviderError, "token.error", `\"invalid_request\"`},
		{`{"errcode":{},"access_token":"x","openid":"y"}`, ginauth.ErrProviderError, "token.error", `\"invalid_request\"`},
		{`{"expires_in":7200}`, ginauth.ErrBadTokenResponse, "token.access_token", ""},
		{`errcode=40029`, ginauth.ErrBadTokenResponse, "token.normalize", ""},
	} {
		s := newStandIn(t, "wechat")
		s.answers["token.json"] = []byte(tt.answer)
		s.app(s.provider()).refuses(tt.code, tt.id, tt.part)
		if s.requests("GET https://api.weixin.qq.com/sns/userinfo") != 0 {
			t.Errorf("%s: the profile was asked for", tt.answer)
		}
	}
}

func TestWeChatAnswersThatAreNoProfile(t *testing.T) {
	for _, answer := range []string{
		`{"errcode":40003,"errmsg":"invalid openid"}`,
		`{"errcode":40003,"openid":"oMadeUpForTests-0123456789ab"}`,
		`{"openid":"oSomebodyElse","nickname":"x"}`,
		`{"nickname":"x","unionid":"oMadeUpUnion_0123456789abcde"}`,
		`{}`,
	} {
		s := newStandIn(t, "wechat")
		s.answers["userinfo.json"] = []byte(answer)
		s.app(s.provider()).refuses(ginauth.ErrIdentityRejected, "login.failed", "errcode")
	}
}

// Without an openid in the token answer there is nobody to ask for.
func TestWeChatWithoutOpenID(t *testing.T) {
	for _, profile := range []string{`{"openid":"","nickname":"x"}`, `{"nickname":"x"}`} {
		s := newStandIn(t, "wechat")
		s.lenient = true
		s.Requests[0].URL = "https://api.weixin.qq.com/sns/userinfo?access_token=x&openid=&lang=en"
		s.answers["token.json"] = []byte(`{"access_token":"x","expires_in":7200}`)
		s.answers["userinfo.json"] = []byte(profile)
		s.app(s.provider()).refuses(ginauth.ErrIdentityRejected, "")
	}
}

// The subject is what everybody has, and never changes kind.
func TestWeChatUnionID(t *testing.T) {
	s := newStandIn(t, "wechat")
	s.replace("userinfo.json", `,"unionid":"oMadeUpUnion_0123456789abcde"`, ``)
	if u := s.app(s.provider()).signIn(); u.Subject != "oMadeUpForTests-0123456789ab" {
		t.Errorf("signed in as %+v", u)
	}
	union := s.provider()
	union.ClaimPaths["sub"] = "unionid"
	s.app(union).refuses(ginauth.ErrIdentityRejected, "claims.sub")
	s = newStandIn(t, "wechat")
	if u := s.app(union).signIn(); u.Subject != "oMadeUpUnion_0123456789abcde" {
		t.Errorf("signed in as %+v", u)
	}
}

// unreachable fails requests to one path, as a network does.
type unreachable struct {
	http.RoundTripper
	path string
}

func (u unreachable) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Path == u.path {
		return nil, &url.Error{Op: r.Method, URL: r.URL.String(), Err: io.ErrUnexpectedEOF}
	}
	return u.RoundTripper.RoundTrip(r)
}

// Secret and access token are in addresses, which errors like to quote.
func TestWeChatKeepsAddressesOutOfTheLog(t *testing.T) {
	for _, path := range []string{"/sns/oauth2/access_token", "/sns/userinfo"} {
		s := newStandIn(t, "wechat")
		client := s.client()
		client.Transport = unreachable{client.Transport, path}
		a := newAppWith(t, s.provider(), client)
		for _, host := range s.hosts(nil) {
			a.browser.Resolve(host, s.server.Listener.Addr().String())
		}
		a.refuses(ginauth.ErrProviderUnavailable, "http.network", "api.weixin.qq.com")
		for _, secret := range []string{testClientSecret, url.QueryEscape(testClientSecret), testToken, testCode, url.QueryEscape(testCode)} {
			if strings.Contains(a.logs.String(), secret) {
				t.Errorf("%s: the log has %q: %s", path, secret, &a.logs)
			}
		}
	}
}
