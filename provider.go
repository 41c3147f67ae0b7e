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

// Provider configures one identity provider. Package providers has functions that return one
// for well-known providers. With an Issuer it uses OpenID Connect, and the metadata supplies
// everything else; without one it uses plain OAuth 2.0.
//
//	{Name: "corp", Issuer: "https://login.corp.example", ClientID: id, ClientSecret: secret}
type Provider struct {
	// Name identifies the provider in the routes: /login/<Name>. Required: 1 to 32 of A-Z,
	// a-z, 0-9, _ and -. Routes are case-sensitive, and no two names may differ only in case.
	Name string

	// DisplayName is the text of the provider's button. Default: Name.
	DisplayName string

	// Color is the colour of the provider's button, as "#24292f". Default: none.
	Color string

	// Icon is shown on the provider's button: one svg element of at most 4 KB with plain
	// shapes. Mount rejects scripts, styles, links and all other elements. Default: the first
	// letter of DisplayName.
	Icon string

	// Issuer is the provider's issuer identifier, exactly as in its metadata (OpenID Connect
	// Discovery 1.0, section 3). Endpoints that are set here take precedence over discovered
	// ones; if AuthorizeURL, TokenURL and JWKSURL are set, no metadata is fetched.
	Issuer string

	// LoginPage makes this provider a sign-in page of the application, such as a password
	// form, which the page to choose a provider lists with the others: /login/<Name> redirects
	// to this path with return_to, and with prompt=login if a [MaxAge] check requires a
	// signed-in user to authenticate again. The page's handler calls [Auth.SignIn] and
	// redirects to [Auth.ReturnTo]. Name and Namespace are required; all fields of an OAuth
	// client must be empty. Namespace is the issuer part of the users' [User.ID] and must not
	// be that of another provider's users; several pages may share one, and then share their
	// users. Default: none.
	LoginPage string

	// ClientID identifies the application at the provider. Required, unless Audience is set:
	// then the provider is for access tokens only, and the application is a resource server
	// without sign-in (see Audience).
	ClientID string

	// ClientSecret authenticates the application. Required unless AuthMethod is "none", or
	// ClientSecretFunc or PrivateKey is set.
	ClientSecret string

	// ClientSecretFunc returns the secret for each request, for providers that require a
	// secret signed by the client (Apple). With AuthMethod "private_key_jwt" it returns the
	// client assertion, for assertions that the platform issues: a Kubernetes service account
	// token, or a cloud workload's identity token. If it returns an error, the sign-in fails
	// with [ErrProviderMisconfigured].
	ClientSecretFunc func(ctx context.Context) (string, error)

	// PrivateKey signs client assertions in place of a secret (AuthMethod "private_key_jwt":
	// RFC 7523; OpenID Connect Core 1.0, section 9). The audience of an assertion is the
	// issuer; it is valid for a minute and used once. RSA keys of 2048 bits or more sign with
	// RS256, or PS256 if the metadata offers only that; ECDSA keys with ES256, ES384 or ES512
	// by their curve; Ed25519 keys with EdDSA. The key may be held by a KMS. Use a different
	// key for each provider. [Auth.Diagnose] prints the JWK Set to register. Default: none.
	PrivateKey crypto.Signer

	// KeyID is the kid of PrivateKey, as registered at the provider. Default: the key's
	// thumbprint (RFC 7638), which is also in the JWK Set of [Auth.Diagnose].
	KeyID string

	// AuthMethod is how the client authenticates at the token endpoint (RFC 7591, section 2):
	// "client_secret_basic", "client_secret_post", "private_key_jwt", or "none" for a public
	// client, which PKCE protects. Default: private_key_jwt with a PrivateKey; else
	// client_secret_basic, or client_secret_post if the metadata offers only that. It is never
	// determined by trial and error, which would consume the code.
	AuthMethod string

	// IDTokenAlg is the algorithm that the client is registered for at the provider
	// (id_token_signed_response_alg): "RS256", "PS256", "ES256", "EdDSA" or a sibling with
	// another hash. ID tokens and logout tokens signed with another algorithm are rejected.
	// Default: every public-key algorithm in the provider's metadata. Shared-secret algorithms
	// and "none" are never accepted, except by Quirks.HS256.
	IDTokenAlg string

	// CallbackPath is the path of the redirect URI, for applications that have one registered
	// already: "/auth/google/callback". It is a path of the application, like
	// [Options.AfterLogin]; ":provider" in it is replaced by Name. Mount registers it with and
	// without a trailing slash; the redirect URI is exactly as written here. At most 255
	// letters, digits and -._~/.
	//
	// Providers with the same CallbackPath share it. The login state then tells them apart,
	// and only the iss parameter (RFC 9207) prevents one provider from obtaining codes of
	// another: give each provider that does not send iss its own path. On a shared path, an
	// iss that cannot be compared is rejected. The log and [Auth.Diagnose] warn about
	// providers that do not announce iss. Default: /authorize/:provider under the router
	// passed to Mount.
	CallbackPath string

	// Scopes are the requested scopes. Default: openid, profile and email with an Issuer, none
	// without. With an Issuer, openid is added if it is missing. Without one, openid may be
	// requested for a userinfo endpoint that requires it; the ID token is not read (see
	// Namespace).
	Scopes []string

	// AuthorizeURL, TokenURL, UserinfoURL and JWKSURL are the endpoints. Default: from the
	// metadata. Plain OAuth 2.0 requires the first two, and UserinfoURL or Profile. They must
	// be https, except on loopback, or on any host while BaseURL is on loopback (containers in
	// development).
	AuthorizeURL, TokenURL, UserinfoURL, JWKSURL string

	// Namespace takes the place of the issuer in [User.ID] for plain OAuth 2.0, where it is
	// required. Use the provider's URL, and never change it: stored ids begin with it. If the
	// provider speaks OpenID Connect, use its issuer: replacing Namespace by Issuer then keeps
	// every User.ID. With Namespace, the userinfo endpoint identifies the user, and the
	// features of a verified ID token are missing: nonce, auth_time, acr and sign-out by the
	// provider.
	Namespace string

	// ResponseIssuer is the iss of the provider's authorization responses (RFC 9207) if it
	// differs from Issuer. An iss that is present must equal it, and one that the metadata
	// announces must be present. Default: Issuer; without an Issuer, and with TokenIssuer, iss
	// is not compared, and is rejected if CallbackPath is shared.
	ResponseIssuer string

	// AuthParams are additional parameters of every authorization request. They cannot replace
	// the protocol's own parameters. They take precedence over LoginParams, so that a link to
	// /login/<Name> cannot override them. max_age and acr_values are also checked in the ID
	// token; without an Issuer they are an error.
	AuthParams map[string]string

	// LoginParams names the parameters that a request to /login/<Name> may pass on: prompt,
	// login_hint, ui_locales, max_age, acr_values, … A value has at most 256 bytes. Names that
	// are also in AuthParams are not passed on, since a link could weaken the requirement.
	// Default: none.
	LoginParams []string

	// ResponseMode is "query" or "form_post" (OAuth 2.0 Form Post Response
	// Mode). Default "query".
	ResponseMode string

	// Userinfo sets when the userinfo endpoint is called: "missing" if the ID token lacks a
	// claim that the scopes or [Options.KeepClaims] ask for; "always", and the sign-in fails
	// without a response; or "never". Default "missing".
	Userinfo string

	// ClaimPaths maps standard claims to dotted paths in the provider's response: "picture":
	// "picture.data.url". Other claims are read under their own names. Map email_verified
	// along with email: under its own name it applies only to the claim email beside it.
	// "groups" is the claim of User.Groups, a list of strings or one string: "groups":
	// "realm_access.roles". If it is mapped, also as "groups": "groups", or the scope groups
	// is requested, the userinfo endpoint is called when the ID token has no groups. With an
	// Issuer, the claims of the protocol (iss, sub, aud, …) cannot be mapped.
	ClaimPaths map[string]string

	// Profile fetches the profile if one GET of UserinfoURL is not enough. With an Issuer it
	// replaces the userinfo endpoint, and must return the sub of the ID token. client adds the
	// access token and Quirks.Header, follows no redirects and reads at most 1 MiB of a
	// response. Decode ids into int64 or with json.Decoder.UseNumber: a float64 of 2^53 or
	// more, which may have been rounded, is rejected. An [*Error] or a [Code] that it returns
	// fails the sign-in. Any other error means that the provider is unavailable, which fails
	// the sign-in without an Issuer, or if Userinfo is "always".
	Profile func(ctx context.Context, client *http.Client, token *oauth2.Token) (map[string]any, error)

	// EmailVerified reports from the claims whether the e-mail address is verified. Default:
	// the claim email_verified is the boolean true and belongs to that address (see
	// ClaimPaths).
	EmailVerified func(claims map[string]any) bool

	// NameFromCallback reads the user's name from the parameters of the authorization
	// response, for providers that send it only there (Apple, once). It is not signed: it is
	// used only if the verified claims have no name, and sets only the name.
	NameFromCallback func(callback url.Values) string

	// VerifyCallback checks the parameters of the authorization response before the code is
	// redeemed, for providers with their own signature (Shopify). Its error fails the sign-in
	// with [ErrProviderError].
	VerifyCallback func(callback url.Values) error

	// VerifyClaims checks the claims after all other verification: a tenant or hosted domain,
	// for example. Its error fails the sign-in with [ErrIdentityRejected], and rejects an
	// access token with [ErrInvalidToken].
	VerifyClaims func(claims map[string]any) error

	// TokenIssuer returns the iss that an ID token with these claims must have, for providers
	// whose tokens have many issuers under one set of keys (Microsoft's tenants). It is called
	// after the signature of an ID token is verified. For an unknown tenant it must return an
	// error, which fails the sign-in with [ErrIDTokenInvalid]. With Audience it is also called
	// for access tokens, before their signature is verified. Default: Issuer.
	TokenIssuer func(claims map[string]any) (string, error)

	// Admits describes which users TokenIssuer or VerifyClaims admits, so that sessions end
	// when that changes. With TokenIssuer it lists the issuers that TokenIssuer may return:
	// sessions of other issuers end. Without TokenIssuer it is any text that changes with the
	// requirements of VerifyClaims, such as "hd=example.com", in any order: sessions that
	// began under another text end. Default: existing sessions continue even if TokenIssuer or
	// VerifyClaims would now reject them.
	Admits []string

	// APIs are the APIs that [Auth.Client] may call with the access tokens of this provider's
	// users. If any are set, the tokens of a sign-in are stored until the session ends (see
	// [Options.Tokens]). Default: none, and no tokens are stored unless Recheck is set.
	APIs []API

	// Recheck is how often the provider confirms that the user still has access: by refreshing
	// the token or, without a refresh token, by fetching the profile (see providers.Offline).
	// The first request after that interval waits for the response, which renews name, e-mail
	// address, groups and kept claims as a sign-in does; see [Hooks.OnRecheck]. If the
	// provider rejects the user, the session and all copies of its cookie are revoked. If the
	// request fails, the session continues and the provider is asked again after 30 seconds. A
	// user whose access token has expired, without a refresh token, is redirected to the
	// provider, as by a [MaxAge] check. With neither a refresh token nor a profile to fetch,
	// the session expires after Recheck.
	//
	// Sessions of [Auth.SignIn], and those that began before Recheck was set, have no tokens
	// and are not rechecked. The minimum is one minute. With Recheck the tokens of a sign-in
	// are stored (see [Options.Tokens]). Default: never; changes to the account at the
	// provider then take effect only through logout tokens.
	Recheck time.Duration

	// Audience is the aud of the access tokens that the provider issues for this application's
	// API (RFC 9068, section 4; with Introspect also RFC 7662). With it, guards that have a
	// [HasScope] or [IsClient] check accept such a token in the Authorization header (RFC
	// 6750, section 2.1), and the [User] has a [Grant]. A token must be a JWT that is signed
	// by the Issuer, not expired, and for this audience, or active by Introspect. Tokens bound
	// to a key (cnf: DPoP, mTLS) are rejected. A verified JWT is cached for up to an hour;
	// sign-outs by [Auth.LogoutEverywhere] and by the provider take effect at the next
	// request. Issuer is required, and Audience must not be the ClientID of a provider with
	// this Issuer, which is the aud of its ID tokens. Default: access tokens are not accepted.
	//
	// Without a ClientID the provider is for access tokens only: no user can sign in with it.
	// If that is so for all of Options.Providers, Mount registers only the metadata route,
	// reads no cookies, and needs no Keys.
	Audience string

	// Introspect accepts access tokens that are not JWTs: the provider's introspection
	// endpoint is queried (RFC 7662), at most once a minute for each token in a process, and
	// at 16 tokens at a time. It requires Audience and ClientID, and only one provider may
	// have it. Default: false; such tokens are rejected.
	Introspect bool

	// Logout configures the sign-out at the provider. The zero value signs the user out there
	// too, if the provider supports it.
	Logout ProviderLogout

	// Quirks adapts requests and checks to a provider that deviates from the standards. Most
	// providers need none.
	Quirks Quirks

	// Preset names the function of package providers that created this Provider. It is used by
	// providers.Offline only. Default: none.
	Preset string

	// Err is set by a function that created this Provider from invalid arguments, such as an
	// impossible tenant. Mount reports it instead of the mistakes that follow from it: an
	// [*Error] whose Op is the name of the argument.
	Err error
}

// ProviderLogout configures what signing out does at a provider, after the session here has
// ended. By default the browser is redirected to the provider's end-session endpoint, if it
// has one (OpenID Connect RP-Initiated Logout 1.0).
type ProviderLogout struct {
	// Local ends only the session here. The user stays signed in at the provider, so the next
	// sign-in may need no password. Default: false.
	Local bool

	// NoIDTokenHint sends client_id without the ID token as id_token_hint. Most providers then
	// ask for confirmation, and some reject the request (Spring Authorization Server, Ory
	// Hydra). By default the ID token is kept for that in a separate sealed cookie (about 1.5
	// KB), which browsers send only to the logout routes. An ID token that does not fit is
	// omitted.
	NoIDTokenHint bool

	// URL is the sign-out URL of a provider that does not implement the standard; https, as
	// for the endpoints. {client_id}, {post_logout_redirect_uri} and {state} in it are
	// replaced. It takes precedence over EndSessionURL. Default: none.
	URL string

	// EndSessionURL is the end-session endpoint. Default: from the metadata.
	EndSessionURL string
}

// Quirks adapts requests and checks to a provider that deviates from the standards. The zero
// value is for a provider that follows them.
type Quirks struct {
	// HS256 also accepts ID tokens that are signed with the client secret. Anyone who can
	// verify such a token can forge one, so Mount rejects HS256 unless Issuer is
	// https://access.line.me: LINE signs the ID tokens of web logins only in this way.
	// ClientSecret must have at least 32 bytes.
	HS256 bool

	// DisablePKCE omits PKCE (RFC 7636), for providers that reject requests with a
	// code_challenge or code_verifier. A public client (AuthMethod "none") must not set it.
	DisablePKCE bool

	// DisableNonce omits the nonce and its check, for providers known not to return it in the
	// ID token.
	DisableNonce bool

	// SilentRefusal treats a response that has neither a code nor an error as a refusal
	// ([ErrProviderDenied]): WeChat sends only the state if the user cancels. Otherwise such a
	// response is [ErrBadRequest].
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

	// TokenMethod is the method of the token request: "POST", or "GET" for providers that
	// accept its parameters only in the query, against RFC 6749, section 3.2 (WeChat). With
	// GET the secret appears in the provider's logs. Default "POST".
	TokenMethod string

	// IncludedScopes returns the scopes that a granted scope includes, for providers whose
	// token response names only the broader one: GitHub answers "user" to a request for user
	// and user:email. It is called for each granted scope when [API.Scopes] are compared with
	// those of a token. Default: a scope includes no other.
	IncludedScopes func(scope string) []string

	// EditAuthorize may change the parameters of the authorization request. state, nonce,
	// redirect_uri and the code challenge are set again afterwards, so it cannot change them.
	EditAuthorize func(params url.Values)

	// EditToken may change the form of a token request. callback holds the parameters of the
	// authorization response; it is nil for a refresh.
	EditToken func(form, callback url.Values)

	// NormalizeToken converts a token response that is not the JSON of RFC 6749, section 5.1,
	// into that form. It is called only for successful responses (2xx except 204 and 206). If
	// it returns an error, the sign-in fails with [ErrBadTokenResponse].
	NormalizeToken func(header http.Header, body []byte) ([]byte, error)
}

// redacted returns the printable form of a Provider, without secrets.
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

// Format prints the Provider without its secret, for every verb.
func (p Provider) Format(f fmt.State, _ rune) { fmt.Fprintf(f, "Provider%v", p.redacted()) }

// MarshalJSON encodes the Provider's Name, Issuer and ClientID, without its secret.
func (p Provider) MarshalJSON() ([]byte, error) { return json.Marshal(p.redacted()) }

// normalized returns a copy with the defaults filled in, which shares no mutable data with p.
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

// scopes returns the requested scopes without duplicates. OpenID Connect Core 3.1.2.1: "OpenID
// Connect requests MUST contain the openid scope value."
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
