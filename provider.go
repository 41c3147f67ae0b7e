package ginauth

import (
	"context"
	"crypto"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"time"

	"golang.org/x/oauth2"

	"github.com/ginauth/ginauth/internal/rp"
)

// Provider configures one identity provider. Package providers has functions that
// return one for well-known providers. With an Issuer it uses OpenID Connect, and
// everything else can be discovered; without one it uses plain OAuth 2.0.
//
//	{Name: "corp", Issuer: "https://login.corp.example", ClientID: id, ClientSecret: secret}
type Provider struct {
	// Name identifies the provider in the routes: /login/<Name>. Required: 1 to 32 of
	// A-Z, a-z, 0-9, _ and -. Routes are case-sensitive, and no two names may differ in
	// case alone.
	Name string

	// DisplayName is the name on the provider's button. Default: Name.
	DisplayName string

	// Color is the colour of the provider's button: "#24292f". Default: none.
	Color string

	// Icon is shown on the provider's button: one svg element of at most 4 KB
	// that consists of plain shapes. Mount refuses scripts, styles, links and
	// every other element. Default: the first letter of DisplayName.
	Icon string

	// Issuer is the provider's issuer identifier, exactly as in its metadata (OpenID
	// Connect Discovery 1.0, section 3). Endpoints that are configured take precedence
	// over discovered ones; if AuthorizeURL, TokenURL and JWKSURL are configured,
	// nothing is discovered.
	Issuer string

	// LoginPage makes this provider a sign-in page of the application, such as a form
	// for a password, that stands beside the others where people choose: /login/<Name>
	// redirects to this path, with return_to, and with prompt=login if a [MaxAge] check
	// wants a signed-in user to authenticate again. The page's handler calls [Auth.SignIn] and
	// redirects to [Auth.ReturnTo]. Name and Namespace are required, and everything that
	// concerns an OAuth client must be empty. The Namespace begins the User.ID of the
	// page's users and must not be where users of another provider come from; several
	// pages may share one, and then share their users. Default: none.
	LoginPage string

	// ClientID identifies the application at the provider. Required.
	ClientID string

	// ClientSecret authenticates the application. Required unless AuthMethod is
	// "none", or ClientSecretFunc or PrivateKey is set.
	ClientSecret string

	// ClientSecretFunc returns the secret for each request, for providers that want one
	// that the client signs (Apple). With AuthMethod "private_key_jwt" it returns the
	// client assertion, for assertions that the platform makes: a Kubernetes service
	// account token, the identity token of a cloud's workload. If it returns an error,
	// the sign-in fails with [ErrProviderMisconfigured].
	ClientSecretFunc func(ctx context.Context) (string, error)

	// PrivateKey signs the client assertions that take the place of a secret
	// (AuthMethod "private_key_jwt": RFC 7523; OpenID Connect Core 1.0, section 9).
	// An assertion names the issuer as its audience, is valid for a minute and is used
	// once. RSA keys of 2048 bits or more sign with RS256, or PS256 if the metadata
	// offers only that; ECDSA keys with ES256, ES384 or ES512 by their curve, Ed25519
	// keys with EdDSA. It may be a key that a KMS keeps. Each provider needs a key of
	// its own. [Auth.Diagnose] prints the JWK Set to register. Default: none.
	PrivateKey crypto.Signer

	// KeyID is the kid of PrivateKey, as registered at the provider. Default: the
	// key's thumbprint (RFC 7638), which the JWK Set of [Auth.Diagnose] has.
	KeyID string

	// AuthMethod is how the client authenticates at the token endpoint (RFC 7591,
	// section 2): "client_secret_basic", "client_secret_post", "private_key_jwt", or
	// "none" for a public client, which PKCE protects. Default: private_key_jwt with a
	// PrivateKey; else client_secret_basic, or client_secret_post if the metadata offers
	// only that. It is never found out by trial, which would spend the code.
	AuthMethod string

	// IDTokenAlg is the algorithm that the client is registered for at the provider
	// (id_token_signed_response_alg): "RS256", "PS256", "ES256", "EdDSA" or a sibling
	// with another hash. ID tokens and logout tokens that are signed with another one
	// are rejected. Default: every algorithm with a public key that the provider's
	// metadata names. The shared-secret algorithms and "none" are never accepted; see
	// Quirks.HS256 for the exception.
	IDTokenAlg string

	// CallbackPath is the path of the redirect URI, for an application that has one
	// registered: "/auth/google/callback". It is a path of the application, as
	// [Options.AfterLogin] is, and ":provider" in it stands for Name. Mount registers it,
	// with and without a slash at its end; the redirect URI is as it is written here. At
	// most 255 letters, digits and -._~/.
	//
	// Providers with the same CallbackPath share it. The login state then tells them
	// apart, and only the iss parameter (RFC 9207) prevents one from obtaining codes of
	// another: give a path of its own to each provider that does not send iss. An iss that
	// there is nothing to compare with is refused there. A provider that does not announce
	// iss is warned about in the log and by [Auth.Diagnose]. Default:
	// /authorize/:provider under the router passed to Mount.
	CallbackPath string

	// Scopes are the requested scopes. Default: openid, profile and email with an
	// Issuer, none without. With an Issuer, openid is added if it is missing. Without
	// one, openid may be requested, for a userinfo endpoint that demands it; the ID
	// token is not read (see Namespace).
	Scopes []string

	// AuthorizeURL, TokenURL, UserinfoURL and JWKSURL are the endpoints. Default:
	// discovered. Plain OAuth 2.0 requires the first two, and UserinfoURL or Profile.
	// They must be https, except on loopback, or on any host while BaseURL is on
	// loopback (containers in development).
	AuthorizeURL, TokenURL, UserinfoURL, JWKSURL string

	// Namespace takes the place of the issuer in [User.ID] for plain OAuth 2.0, where
	// it is required. Write the provider's address, and never change it: stored ids
	// begin with it. If the provider speaks OpenID Connect, write its issuer: setting
	// Issuer in place of Namespace then keeps every User.ID. Until then the userinfo
	// endpoint says who signed in, and what only a verified ID token can say is missing:
	// the nonce, auth_time and acr, and sign-outs by the provider.
	Namespace string

	// ResponseIssuer is the iss of the provider's authorization responses (RFC 9207)
	// if it differs from Issuer. An iss that is present must equal it, and one that
	// the metadata announces must be present. Default: Issuer; without an Issuer, and
	// with TokenIssuer, iss is not compared, and refused if CallbackPath is shared.
	ResponseIssuer string

	// AuthParams are sent with every authorization request, besides the protocol's
	// own parameters, which they cannot replace. They take precedence over
	// LoginParams, so that a link to /login/<Name> cannot ask for something else.
	// max_age and acr_values are also checked in the ID token, and an error without an
	// Issuer.
	AuthParams map[string]string

	// LoginParams names the parameters that a request to /login/<Name> may pass on:
	// prompt, login_hint, ui_locales, max_age, acr_values, … A value has at most 256
	// bytes. A name that is in AuthParams too is not passed on: people could ask for
	// less than the application does. Default: none.
	LoginParams []string

	// ResponseMode is "query" or "form_post" (OAuth 2.0 Form Post Response
	// Mode). Default "query".
	ResponseMode string

	// Userinfo says when the userinfo endpoint is called: "missing" if the ID token
	// lacks a claim that the scopes or [Options.KeepClaims] ask for; "always", so
	// that a sign-in fails without a response; "never". Default "missing".
	Userinfo string

	// ClaimPaths maps standard claims to dotted paths in what the provider sends:
	// "picture": "picture.data.url". A claim that is not in it is taken under its own
	// name. Map email_verified along with email: under its own name it counts only
	// for the email sent beside it. "groups" is the claim of User.Groups, a list of
	// strings or one string: "groups": "realm_access.roles". If it is written, also as
	// "groups": "groups", or the scope groups is requested, the userinfo endpoint is
	// called for it where the ID token has none. With an Issuer the
	// claims of the protocol (iss, sub, aud, …) cannot be mapped.
	ClaimPaths map[string]string

	// Profile reads the profile if one GET of UserinfoURL is not enough. With an
	// Issuer it replaces the userinfo endpoint, and the sub that it returns must be
	// the ID token's. client adds the access token and Quirks.Header, follows no
	// redirect and reads at most 1 MiB of a response. Decode ids into int64 or with
	// json.Decoder.UseNumber: a float64 of 2^53 or more, which may have been another
	// number, is refused. An [*Error] or a [Code] that it returns fails the sign-in. Any other error
	// means that the provider could not be asked, which a sign-in with an Issuer
	// survives unless Userinfo is "always".
	Profile func(ctx context.Context, client *http.Client, token *oauth2.Token) (map[string]any, error)

	// EmailVerified decides from the claims whether the e-mail address is verified.
	// Default: the claim email_verified is true, not "true", and belongs to that
	// address (see ClaimPaths).
	EmailVerified func(claims map[string]any) bool

	// NameFromCallback reads the person's name from the parameters that came with the
	// code, for providers that send it nowhere else (Apple, once). It is not signed:
	// it counts only if the verified claims have no name, and sets nothing but a name.
	NameFromCallback func(callback url.Values) string

	// VerifyCallback checks the parameters that came with the code before it is
	// redeemed, for providers that sign them in a way of their own (Shopify). Its
	// error fails the sign-in with [ErrProviderError].
	VerifyCallback func(callback url.Values) error

	// VerifyClaims checks the claims after everything else is verified: a tenant or
	// hosted domain, for example. Its error fails the sign-in with
	// [ErrIdentityRejected].
	VerifyClaims func(claims map[string]any) error

	// TokenIssuer returns the iss that an ID token with these claims must have, for
	// providers whose tokens come from many issuers under one set of keys
	// (Microsoft's tenants). The token's signature is verified by then. It must
	// return an error for a tenant that it does not know, which fails the sign-in
	// with [ErrIDTokenInvalid]. With Audience it is asked about access tokens too, before
	// their signature is verified. Default: Issuer.
	TokenIssuer func(claims map[string]any) (string, error)

	// Admits describes which users TokenIssuer or VerifyClaims admits, so that sessions
	// end when that changes. With TokenIssuer it lists the issuers that TokenIssuer may
	// return: sessions of other issuers end. Without it, it is any text that changes
	// with what VerifyClaims demands, such as "hd=example.com", in any order: sessions
	// that began under another text end. Default: a session lives on, whatever
	// TokenIssuer and VerifyClaims refuse by now.
	Admits []string

	// APIs are what [Auth.Client] may call with the access tokens of this provider's users.
	// With any, the tokens of a sign-in are kept for as long as the session lasts (see
	// [Options.Tokens]). Default: none, and no token is kept unless Recheck is set.
	APIs []API

	// Recheck is how often the provider is asked whether the user may still be here: by a
	// refresh of the token, or by reading the profile if there is no refresh token (see
	// providers.Offline). The first request after that time waits for the answer, which
	// renews name, e-mail address, groups and kept claims as a sign-in does; see
	// [Hooks.OnRecheck]. If the provider refuses, the session ends, also in copies of its
	// cookie. If it does not respond, or not as it should, the session continues, and it is
	// asked again after 30 seconds. A person whose access token has expired, with no refresh
	// token, is sent to the provider, as by a [MaxAge] check. If there is neither a refresh
	// token nor a profile to read, the session lasts no longer than Recheck.
	//
	// Sessions of [Auth.SignIn], and those from before Recheck was set, have no tokens and
	// are not asked about. At least a minute. With Recheck the tokens of a sign-in are kept
	// (see [Options.Tokens]). Default: never, and a session lasts whatever the provider does
	// to the account, unless it sends logout tokens.
	Recheck time.Duration

	// Audience is the aud of the access tokens that the provider issues for this
	// application's API (RFC 9068; aud of RFC 7662 with Introspect). With it, a request with
	// such a token in the Authorization header is admitted by guards that have a [HasScope] or
	// [IsClient] check, as [User] with a [Grant]. It must not be the ClientID, which is the aud
	// of ID tokens. A Provider without a ClientID is for tokens alone: nobody signs in there;
	// with such providers alone, Mount registers no routes but that of the metadata, and reads
	// no cookies. Default: bearer tokens are not read.
	Audience string

	// Introspect has the provider asked about bearer tokens that are not JWTs (RFC 7662):
	// once a token and minute. One provider at most can have it, with Audience. Default: such
	// tokens are refused.
	Introspect bool

	// Logout is what signing out does at the provider. The zero value signs the
	// person out there too, where that is possible.
	Logout ProviderLogout

	// Quirks adapts the requests and checks to a provider that deviates from the
	// standards. Most providers need none of it.
	Quirks Quirks

	// Preset is set by the functions of package providers: which of them made this
	// Provider, whatever Name and the endpoints are changed to. providers.Offline goes by
	// it; sign-ins do not. Default: none.
	Preset string

	// Err is set by a function that made this Provider from wrong arguments, such as
	// a tenant that cannot exist. Mount reports it in place of the mistakes that
	// follow from it, an [*Error] with its Op as the name of the argument.
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

	// NoIDTokenHint sends client_id alone, and not the ID token as id_token_hint.
	// Most providers then ask people to confirm, and some refuse (Spring
	// Authorization Server, Ory Hydra). By default the ID token is kept for that
	// in a cookie of its own (about 1.5 KB), sealed, which browsers send to the
	// logout routes alone. One that does not fit is left out.
	NoIDTokenHint bool

	// URL is the sign-out address of a provider that does not implement the
	// standard, https as the endpoints are. {client_id}, {post_logout_redirect_uri}
	// and {state} in it are replaced. It takes precedence over EndSessionURL.
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

	// SilentRefusal takes a response that has neither a code nor an error for a
	// refusal ([ErrProviderDenied]): WeChat sends the state alone if the person
	// cancels. Otherwise such a response is [ErrBadRequest].
	SilentRefusal bool

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

	// IncludedScopes returns the scopes that a granted scope includes, for providers that
	// name only the larger one in a token response: GitHub answers "user" to a request for
	// user and user:email. It is called for each granted scope when [API.Scopes] are
	// compared with what a token has. Default: a scope includes no other.
	IncludedScopes func(scope string) []string

	// EditAuthorize may change the parameters of the authorization request.
	// state, nonce, redirect_uri and the code challenge are set again afterwards.
	EditAuthorize func(params url.Values)

	// EditToken may change the form of a token request. callback holds the parameters
	// that came with the code; it is nil for a refresh.
	EditToken func(form, callback url.Values)

	// NormalizeToken turns a token response that is not the JSON of RFC 6749
	// into that form. It is called for responses with a status of success (2xx,
	// but 204 and 206) only. If it returns an error, the sign-in fails with
	// [ErrBadTokenResponse].
	NormalizeToken func(header http.Header, body []byte) ([]byte, error)
}

// redacted is how a Provider and Options print: they hold secrets.
func (p Provider) redacted() map[string]string {
	m := map[string]string{"Name": p.Name, "Issuer": p.Issuer, "ClientID": p.ClientID}
	if p.ClientSecret != "" {
		m["ClientSecret"] = "[redacted]"
	}
	if p.PrivateKey != nil {
		m["PrivateKey"] = "[redacted]"
	}
	return m
}

// Format prints the Provider without its secret, whatever the verb.
func (p Provider) Format(f fmt.State, _ rune) { fmt.Fprintf(f, "Provider%v", p.redacted()) }

// MarshalJSON encodes the Provider's Name, Issuer and ClientID, without its secret.
func (p Provider) MarshalJSON() ([]byte, error) { return json.Marshal(p.redacted()) }

// normalized returns a copy with the defaults filled in, that shares nothing
// with p that can be changed.
func (p Provider) normalized() Provider {
	p.Scopes = p.scopes()
	p.AuthParams, p.ClaimPaths, p.Quirks.Header = maps.Clone(p.AuthParams), maps.Clone(p.ClaimPaths), maps.Clone(p.Quirks.Header)
	p.Admits = slices.Clone(p.Admits)
	p.LoginParams = slices.DeleteFunc(slices.Clone(p.LoginParams), func(name string) bool {
		_, always := p.AuthParams[name]
		return always
	})
	for _, d := range []struct {
		field *string
		value string
	}{
		{&p.DisplayName, p.Name}, {&p.ResponseMode, "query"}, {&p.Userinfo, "missing"},
		{&p.Quirks.ClientIDParam, "client_id"}, {&p.Quirks.ScopeSeparator, " "}, {&p.Quirks.TokenMethod, "POST"},
	} {
		if *d.field == "" {
			*d.field = d.value
		}
	}
	if p.AuthMethod == "" && p.PrivateKey != nil {
		p.AuthMethod = rp.PrivateKeyJWT
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
