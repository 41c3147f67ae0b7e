package ginauth

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"

	"golang.org/x/oauth2"
)

// Provider is an identity provider, as its users write it down: a plain value,
// from package providers or by hand. With an Issuer it speaks OpenID Connect,
// and the rest is discovered; without, it is plain OAuth 2.0.
//
//	{Name: "corp", Issuer: "https://login.corp.example", ClientID: id, ClientSecret: secret}
type Provider struct {
	// Name stands in the routes: /login/<Name>. Required: 1 to 32 of a-z, 0-9, _ and -.
	Name string

	// DisplayName is what people read on the button. Default: Name.
	DisplayName string

	// Color is the provider's own, for its button: "#24292f". Default: none.
	Color string

	// Mark is the provider's sign, for its button: one svg element of at most
	// 4 KB, drawn from plain shapes. Scripts, styles, links and whatever else
	// is not needed for that are refused. Default: a letter.
	Mark string

	// Issuer is the provider's issuer identifier, to the letter (OpenID
	// Connect Discovery 1.0, section 3). Endpoints given beside it win over
	// what is discovered; with AuthorizeURL, TokenURL and JWKSURL given,
	// nothing is.
	Issuer string

	// ClientID is what the provider calls this application. Required.
	ClientID string

	// ClientSecret is the password that goes with it. Required unless
	// AuthMethod is "none" or ClientSecretFunc is set.
	ClientSecret string

	// ClientSecretFunc makes the secret anew for each sign-in, for providers
	// that want a signed assertion in its place (Apple).
	ClientSecretFunc func(ctx context.Context) (string, error)

	// AuthMethod is how the client authenticates at the token endpoint
	// (RFC 7591, section 2): "client_secret_basic", "client_secret_post", or
	// "none" for a public client, which PKCE protects. Default: the first of
	// the two with a secret that the provider's metadata names,
	// client_secret_basic without metadata. It is never found out by trial,
	// which would spend the code.
	AuthMethod string

	// Scopes are asked for. Default: openid, profile and email with an
	// Issuer, none without. openid is added where it is missing.
	Scopes []string

	// AuthorizeURL, TokenURL, UserinfoURL and JWKSURL are the endpoints.
	// Default: discovered. Plain OAuth 2.0 needs the first two, and
	// UserinfoURL or Profile. https, except on loopback, or on any host while
	// BaseURL is on loopback (containers in development).
	AuthorizeURL, TokenURL, UserinfoURL, JWKSURL string

	// Namespace takes the issuer's place in User.ID for plain OAuth 2.0;
	// required there. Write the provider's address, and never change it:
	// stored ids begin with it.
	Namespace string

	// ResponseIssuer is the iss that the provider puts into its answers
	// (RFC 9207), where it is not the Issuer. An iss that comes must be this
	// one; one that the provider's metadata announces must come. Default:
	// Issuer; without one, and with TokenIssuer, iss is not compared.
	ResponseIssuer string

	// AuthParams are sent with every authorization request, beside the
	// protocol's own, which they cannot replace. They win over LoginParams: a
	// link to /login/<Name> cannot ask otherwise. max_age and acr_values are
	// checked in the ID token.
	AuthParams map[string]string

	// LoginParams names the parameters that a request to /login/<Name> may
	// pass on: prompt, login_hint, ui_locales, max_age, acr_values, … Values
	// have at most 256 bytes. A name that is in AuthParams too is not passed
	// on: people could ask for less than the application does. Default: none.
	LoginParams []string

	// ResponseMode is "query" or "form_post" (OAuth 2.0 Form Post Response
	// Mode). Default "query".
	ResponseMode string

	// Userinfo says when the userinfo endpoint is asked: "missing", when the
	// ID token lacks a claim that the scopes asked for; "always", and a
	// sign-in fails without its answer; "never". Default "missing".
	Userinfo string

	// ClaimPaths maps standard claims to where they are in what the provider
	// sends, by dotted paths: "picture": "picture.data.url". A claim that is
	// not named is taken under its own name. Map email_verified along with
	// email: under its own name it counts only for the email sent beside it.
	// With an Issuer the claims of the protocol (iss, sub, aud, …) cannot be
	// mapped.
	ClaimPaths map[string]string

	// GroupsClaim is the dotted path to the groups: a list of texts, or one
	// text. Default "groups".
	GroupsClaim string

	// Profile reads the profile where one GET of UserinfoURL is not enough.
	// With an Issuer it takes the userinfo endpoint's place, and the sub that it
	// returns must be the ID token's. The client sends the access token and
	// Quirks.Header itself, follows no redirect and reads at most 1 MiB an answer.
	// Decode ids into int64 or with json.Decoder.UseNumber: a float64 of 2^53
	// or more, which may have been another number, is refused.
	Profile func(ctx context.Context, client *http.Client, token *oauth2.Token) (map[string]any, error)

	// EmailVerified decides from the claims whether the e-mail address is
	// verified. Default: the claim email_verified is true, not "true", and
	// speaks of that address (see ClaimPaths).
	EmailVerified func(claims map[string]any) bool

	// NameFromCallback reads the person's name from what came back with the
	// code, for providers that send it nowhere else (Apple, once). Nobody signed
	// it: it counts only where the verified claims have no name, and nothing but
	// a name can come this way.
	NameFromCallback func(callback url.Values) string

	// VerifyCallback refuses an answer, with provider_error, before its code is
	// redeemed, for providers that sign it in a way of their own (Shopify).
	VerifyCallback func(callback url.Values) error

	// VerifyClaims refuses a sign-in after everything else is verified, with
	// identity_rejected: a tenant or hosted domain that may not sign in.
	VerifyClaims func(claims map[string]any) error

	// TokenIssuer returns the iss that an ID token with these claims, whose
	// signature is verified, must have, for providers whose tokens come from
	// many issuers under one set of keys (Microsoft's tenants). It must not
	// trust a tenant it does not know. Default: Issuer.
	TokenIssuer func(claims map[string]any) (string, error)

	// Logout is what signing out does at the provider. The zero value signs the
	// person out there too, where that is possible.
	Logout ProviderLogout

	// Quirks adapts the requests and checks to a provider that deviates from the
	// standards. Most providers need none of it.
	Quirks Quirks

	// Err is what was wrong with the arguments of the function that made this
	// Provider: a tenant that is none, say. Mount reports it in place of what
	// followed from it. An *Error is reported with its Op as the argument's name.
	Err error
}

// ProviderLogout is what signing out does at a provider, beside ending the
// session here. By default the browser is redirected to the provider's
// end-session endpoint, if the provider has one (OpenID Connect RP-Initiated
// Logout 1.0).
type ProviderLogout struct {
	// Local ends the session here only. The person stays signed in at the
	// provider, so that the next sign-in may need no password.
	Local bool

	// IDTokenHint sends the ID token as id_token_hint, for providers that ask
	// people to confirm without it. The ID token is kept in the session for
	// that (about 1 KB). Default: client_id alone.
	IDTokenHint bool

	// URL is the sign-out address of a provider that does not implement the
	// standard. {client_id}, {post_logout_redirect_uri} and {state} in it are
	// replaced. It takes precedence over EndSessionURL.
	URL string

	// EndSessionURL is the end-session endpoint. Default: discovered.
	EndSessionURL string
}

// Quirks adapts requests and checks to a provider that deviates from the
// standards. The zero value is a provider that keeps to them.
type Quirks struct {
	// HS256 also accepts ID tokens that are signed with the client secret.
	// Everybody who can verify such a token can forge one, so Mount reports an
	// error unless Issuer is https://access.line.me: LINE signs the ID tokens of
	// web logins in no other way. ClientSecret must have 32 bytes or more.
	HS256 bool

	// DisablePKCE leaves out PKCE (RFC 7636), for providers that refuse requests
	// with a code_challenge or code_verifier. A public client (AuthMethod
	// "none") must not set it.
	DisablePKCE bool

	// DisableNonce leaves out the nonce and its check, for providers that are
	// known not to echo it in the ID token.
	DisableNonce bool

	// Header is sent with requests to the token, userinfo and profile endpoints.
	Header map[string]string

	// ClientIDParam is the name of the client_id parameter in both requests.
	// Default "client_id".
	ClientIDParam string

	// ScopeSeparator separates the scopes. Default: a space.
	ScopeSeparator string

	// AuthorizeFragment is appended to the authorization URL after a #, against
	// RFC 6749, section 3.1 (WeChat). Letters, digits and -_. only.
	AuthorizeFragment string

	// TokenMethod is the method of the token request: "POST", or "GET" for
	// providers that accept its parameters in the query alone, against RFC 6749,
	// section 3.2 (WeChat). With GET the secret ends up in the provider's logs.
	// Default "POST".
	TokenMethod string

	// EditAuthorize may change the parameters of the authorization request.
	// state, nonce, redirect_uri and the code challenge are set again afterwards.
	EditAuthorize func(params url.Values)

	// EditToken may change the form of the token request. callback holds the
	// parameters that came with the code.
	EditToken func(form, callback url.Values)

	// NormalizeToken turns a token response that is not the JSON of RFC 6749
	// into that form. It is called for responses with status 200 only. If it
	// returns an error, the sign-in fails with [ErrBadTokenResponse].
	NormalizeToken func(header http.Header, body []byte) ([]byte, error)
}

// redacted is how a Provider and Options print: they hold secrets.
func (p Provider) redacted() map[string]string {
	m := map[string]string{"Name": p.Name, "Issuer": p.Issuer, "ClientID": p.ClientID}
	if p.ClientSecret != "" {
		m["ClientSecret"] = "[redacted]"
	}
	return m
}

// Format prints the Provider without its secret, whatever the verb.
func (p Provider) Format(f fmt.State, _ rune) { fmt.Fprintf(f, "Provider%v", p.redacted()) }

// MarshalJSON writes the Provider without its secret.
func (p Provider) MarshalJSON() ([]byte, error) { return json.Marshal(p.redacted()) }

// normalized returns a copy with the defaults filled in, that shares nothing
// with p that can be changed.
func (p Provider) normalized() Provider {
	p.Scopes = p.scopes()
	p.AuthParams, p.ClaimPaths, p.Quirks.Header = maps.Clone(p.AuthParams), maps.Clone(p.ClaimPaths), maps.Clone(p.Quirks.Header)
	p.LoginParams = slices.DeleteFunc(slices.Clone(p.LoginParams), func(name string) bool {
		_, always := p.AuthParams[name]
		return always
	})
	for _, d := range []struct {
		field *string
		value string
	}{
		{&p.DisplayName, p.Name}, {&p.ResponseMode, "query"}, {&p.Userinfo, "missing"},
		{&p.GroupsClaim, "groups"}, {&p.Quirks.ClientIDParam, "client_id"}, {&p.Quirks.ScopeSeparator, " "}, {&p.Quirks.TokenMethod, "POST"},
	} {
		if *d.field == "" {
			*d.field = d.value
		}
	}
	if p.ResponseIssuer == "" && p.TokenIssuer == nil {
		p.ResponseIssuer = p.Issuer
	}
	return p
}

// scopes: OpenID Connect Core 3.1.2.1: "OpenID Connect requests MUST contain
// the openid scope value."
func (p *Provider) scopes() []string {
	list := p.Scopes
	if p.Issuer != "" {
		if list == nil {
			list = []string{"profile", "email"}
		}
		list = append([]string{"openid"}, list...)
	}
	var once []string
	for _, s := range list {
		if !slices.Contains(once, s) {
			once = append(once, s)
		}
	}
	return once
}

// protocolParams are the authorization request's own.
var protocolParams = []string{
	"client_id", "redirect_uri", "response_type", "response_mode", "scope", "state", "nonce",
	"code_challenge", "code_challenge_method", "request", "request_uri", "registration", "client_secret",
}

// tokenParams are those that the token request has beside them.
var tokenParams = []string{"grant_type", "code", "code_verifier"}

// protocolClaims are what an ID token says about itself; only the token itself
// is asked for them.
var protocolClaims = []string{
	"iss", "sub", "aud", "exp", "iat", "nbf", "jti", "nonce", "azp", "at_hash", "c_hash", "s_hash",
	"auth_time", "acr", "amr", "sid", "typ", "events",
}

// identityClaims decide who somebody is and what they may do.
var identityClaims = []string{
	"name", "given_name", "family_name", "preferred_username", "email", "email_verified", "picture", "locale",
	"groups", "roles", "tid", "oid", "hd",
}

// drain reads what is left of a small body, so that the connection can serve
// the next request.
func drain(body io.ReadCloser) {
	_, _ = io.CopyN(io.Discard, body, 4<<10)
	_ = body.Close()
}
