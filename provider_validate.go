package ginauth

import (
	"cmp"
	"crypto"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"unicode"

	"github.com/ginauth/ginauth/internal/contain"
	"github.com/ginauth/ginauth/internal/demo"
	"github.com/ginauth/ginauth/internal/errid"
	"github.com/ginauth/ginauth/internal/printable"
	"github.com/ginauth/ginauth/internal/rp"
	"github.com/ginauth/ginauth/internal/weburl"
)

// check reports every mistake that can be detected without a request to the provider. It
// corrects one: an Issuer that is the URL of the discovery document.
func (p *Provider) check(add addMistake, devHost bool) {
	p.APIs = cloneAPIs(p.APIs) // checkAPIs normalizes their URLs
	p.Issuer = strings.TrimSuffix(strings.TrimSuffix(p.Issuer, "/"+rp.WellKnown), "/"+rp.WellKnown+"/")
	if !validName(p.Name) {
		add("Name", "malformed", fmt.Sprintf("%q is not valid in a route", printable.Clip(p.Name)), "use 1 to 32 of A-Z, a-z, 0-9, _ and -")
	}
	if p.LoginPage != "" {
		p.checkBrand(add)
		p.checkPage(add)
		return
	}
	p.checkTokens(add)
	if p.isResourceServer() {
		p.checkResourceServer(add, devHost)
		return
	}
	p.checkClient(add)
	if !devHost && p.ClientID == demo.ClientID {
		add("ClientID", "demo", "is authtest.Demo, which signs in anyone as any user without a password, but BaseURL is not on loopback",
			`use a real provider: providers.OIDC("corp", issuer, clientID, clientSecret)`)
	}
	p.checkSecret(add)
	p.checkBrand(add)
	if p.Err != nil { // URLs built from an invalid argument are invalid, too
		addArgumentMistakes(add, p.Err)
		return
	}
	p.checkAddresses(add, devHost)
	if p.Issuer != "" {
		p.checkOpenID(add)
	} else {
		p.checkPlain(add)
	}
	p.checkModes(add)
	p.checkParams(add)
	p.checkPaths(add)
	p.checkAPIs(add, devHost)
	if p.Recheck != 0 && p.Recheck < minRecheck {
		add("Recheck", "too_short", fmt.Sprintf("is %v, so every request would wait for the provider", p.Recheck), "set a minute or more, or 0 for never (a bare number is nanoseconds: write 15*time.Minute)")
	}
}

func validName(name string) bool {
	return len(name) >= 1 && len(name) <= 32 && strings.Trim(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-") == ""
}

type addMistake = func(field, what, reason, fix string)

// addArgumentMistakes reports invalid arguments of the function that created a Provider.
func addArgumentMistakes(add addMistake, err error) {
	if several, ok := err.(interface{ Unwrap() []error }); ok {
		for _, err := range several.Unwrap() {
			addArgumentMistakes(add, err)
		}
		return
	}
	if e, _ := err.(*Error); e != nil && e.Op != "" {
		what := e.ID[strings.LastIndex(e.ID, ".")+1:]
		if e.ID != errid.Of("Provider."+e.Op, what) { // the error is not from package providers
			what = "invalid"
		}
		add(e.Op, what, e.Reason, e.Fix)
		return
	}
	add("Err", "invalid", fmt.Sprint(err), "correct the arguments of the function that created the Provider")
}

func (p *Provider) checkClient(add addMistake) {
	if p.ClientID == "" {
		add("ClientID", "empty", "is empty (is the environment variable set?)", "register the application at the provider and use its client ID")
	}
	if !slices.Contains([]string{"", "client_secret_basic", "client_secret_post", rp.PrivateKeyJWT, "none"}, p.AuthMethod) {
		add("AuthMethod", "unknown", fmt.Sprintf("unknown value %q", printable.Clip(p.AuthMethod)), `use "client_secret_basic", "client_secret_post", "private_key_jwt" or "none"`)
	}
	for _, s := range []struct{ field, value string }{{"ClientID", p.ClientID}, {"ClientSecret", p.ClientSecret}} {
		if what, reason, fix := pasted(s.value); what != "" {
			add(s.field, what, reason, fix)
		}
	}
}

// checkSecret checks that there is exactly one client credential, or a public client with PKCE.
func (p *Provider) checkSecret(add addMistake) {
	if p.PrivateKey != nil || p.AuthMethod == rp.PrivateKeyJWT {
		p.checkPrivateKey(add)
		return
	}
	if p.KeyID != "" {
		add("KeyID", "unused", "is set, but PrivateKey is not (was the key file read?)", "set PrivateKey, or remove KeyID")
	}
	switch secret := p.ClientSecret != "" || p.ClientSecretFunc != nil; {
	case p.AuthMethod == "none" && secret:
		add("ClientSecret", "unused", `is set, but AuthMethod "none" sends no secret`, "remove one of the two")
	case p.AuthMethod == "none" && p.Quirks.DisablePKCE:
		add("Quirks.DisablePKCE", "public_client", "leaves the authorization code of a public client unprotected", "give the client a secret, or leave PKCE on")
	case p.AuthMethod != "none" && !secret:
		add("ClientSecret", "empty", "is empty (is the environment variable set?)", `set the client secret, or AuthMethod "none" for a public client`)
	case p.ClientSecret != "" && p.ClientSecretFunc != nil:
		add("ClientSecret", "twice", "is set together with ClientSecretFunc", "remove one of the two")
	}
}

// checkPrivateKey checks the credential of private_key_jwt.
func (p *Provider) checkPrivateKey(add addMistake) {
	switch {
	case p.AuthMethod != "" && p.AuthMethod != rp.PrivateKeyJWT:
		add("PrivateKey", "unused", fmt.Sprintf("is set, but AuthMethod %q uses no key", printable.Clip(p.AuthMethod)), "remove one of the two")
	case p.ClientSecret != "":
		add("ClientSecret", "unused", "is set, but the client authenticates with an assertion signed by a key", "remove ClientSecret, or remove PrivateKey and AuthMethod")
	case p.PrivateKey != nil && p.ClientSecretFunc != nil:
		add("PrivateKey", "twice", "is set together with ClientSecretFunc, which creates the assertions instead", "remove one of the two")
	case p.PrivateKey == nil && p.ClientSecretFunc == nil:
		add("PrivateKey", "empty", `is nil, but AuthMethod is "private_key_jwt"`, "set PrivateKey, or ClientSecretFunc if the platform creates the assertions")
	case p.PrivateKey == nil:
		if p.KeyID != "" {
			add("KeyID", "unused", "is set, but ClientSecretFunc creates the assertions", "remove KeyID")
		}
		return
	}
	if p.PrivateKey == nil {
		return
	}
	if _, err := rp.AssertionAlgs(p.PrivateKey); err != nil {
		add("PrivateKey", "unfit", err.Error(), "generate a key: openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256")
	}
	if what, reason, fix := pasted(p.KeyID); what != "" {
		add("KeyID", what, reason, fix)
	}
}

// checkSharedKey checks that each provider has its own key: an assertion for one provider must
// not be valid at another, even if that one does not check its audience.
func (p *Provider) checkSharedKey(add addMistake, others []Provider) {
	for i := range others {
		if sameKey(p.PrivateKey, others[i].PrivateKey) {
			add("PrivateKey", "shared", fmt.Sprintf("is also the key of provider %q", printable.Clip(others[i].Name)), "use a separate key for each provider")
		}
	}
}

// sameKey reports whether two keys are the same. A key whose public half cannot be compared
// equals no other.
func sameKey(one, other crypto.Signer) bool {
	if one == nil || other == nil {
		return false
	}
	same, _ := contain.Call(func() (bool, error) {
		key, ok := one.Public().(interface{ Equal(crypto.PublicKey) bool }) // implemented by all keys of the standard library
		return ok && key.Equal(other.Public()), nil
	})
	return same
}

func (p *Provider) checkAddresses(add addMistake, devHost bool) {
	const placeholders = "replace it with your tenant or domain"
	for _, a := range []struct{ field, value string }{
		{"Issuer", p.Issuer}, {"AuthorizeURL", p.AuthorizeURL}, {"TokenURL", p.TokenURL},
		{"UserinfoURL", p.UserinfoURL}, {"JWKSURL", p.JWKSURL}, {"Logout.EndSessionURL", p.Logout.EndSessionURL},
		{"Logout.URL", rp.FillLogoutURL(p.Logout.URL, "client", "state", "address")},
	} {
		if a.value == "" {
			continue
		}
		if strings.ContainsAny(a.value, "{}<>") || strings.Contains(a.value, "YOUR") {
			fix := placeholders + " (for Microsoft, use providers.Microsoft)"
			if a.field == "Logout.URL" {
				fix = placeholders + "; only {client_id}, {post_logout_redirect_uri} and {state} are replaced"
			}
			add(a.field, "placeholder", fmt.Sprintf("%q contains a placeholder", printable.Clip(a.value)), fix)
		} else if what, reason, fix := pasted(a.value); what != "" {
			add(a.field, what, reason, fix)
		} else if what, why := weburl.Unfit(a.value, devHost); what != "" {
			add(a.field, what, fmt.Sprintf("%q %s", shown(a.value), why), "use an https URL (http is only for loopback, and for development with a loopback BaseURL)")
		} else if a.field == "Issuer" && strings.Contains(a.value, "?") {
			add(a.field, "query", fmt.Sprintf("%q has a query", printable.Clip(a.value)), "use only scheme, host and path (OpenID Connect Discovery 1.0, section 3)")
		}
	}
}

// shown returns a URL for a message, without a password in it.
func shown(address string) string {
	if u, err := url.Parse(address); err == nil {
		address = u.Redacted()
	}
	return printable.Clip(address)
}

// checkOpenID checks the fields of a provider with an Issuer. A field without effect is a
// mistake, since an effect was intended.
func (p *Provider) checkOpenID(add addMistake) {
	const why = "is for plain OAuth 2.0, but this provider has an Issuer"
	if p.Namespace != "" {
		add("Namespace", "unused", why, "remove Namespace")
	}
	switch {
	case p.Profile != nil && p.Userinfo == "never":
		add("Profile", "unused", `is set, but is not used with Userinfo "never"`, "remove one of the two")
	case p.Profile != nil && p.UserinfoURL != "":
		add("UserinfoURL", "unused", "is set together with Profile, which replaces it", "remove one of the two")
	}
	p.checkHS256(add)
	p.checkIDTokenAlg(add)
	p.checkTenant(add)
	for _, claim := range sortedKeys(p.ClaimPaths) {
		if rp.ProtocolClaim(claim) {
			add("ClaimPaths", "protocol_claim", fmt.Sprintf("%q is a protocol claim of the ID token", claim), "remove it")
		}
	}
	if p.Userinfo == "always" && p.UserinfoURL == "" && p.Profile == nil && p.AuthorizeURL != "" && p.TokenURL != "" && p.JWKSURL != "" {
		add("UserinfoURL", "empty", `is empty, but Userinfo is "always" and all other endpoints are configured, so discovery is not used`, "set it")
	}
}

// checkTenant rejects three of Microsoft's issuers that stand for many tenants. Each tenant is
// an issuer, so no token would match.
func (p *Provider) checkTenant(add addMistake) {
	rest, microsoft := strings.CutPrefix(p.Issuer, "https://login.microsoftonline.com/")
	tenant, _, _ := strings.Cut(rest, "/")
	if microsoft && p.TokenIssuer == nil && slices.Contains([]string{"common", "organizations", "consumers"}, tenant) {
		add("Issuer", "many_tenants", fmt.Sprintf("%q issues tokens with the issuer of each user's tenant, so no token would match", printable.Clip(p.Issuer)), "use providers.Microsoft with the tenants to admit, or put your tenant ID into Issuer")
	}
}

// hs256Issuers sign ID tokens only with the client secret.
// https://developers.line.biz/en/docs/line-login/verify-id-token/#signature
var hs256Issuers = []string{"https://access.line.me"}

func (p *Provider) checkHS256(add addMistake) {
	switch {
	case p.Quirks.HS256 && !slices.Contains(hs256Issuers, p.Issuer):
		add("Quirks.HS256", "issuer", fmt.Sprintf("is only for %q: anyone who knows the client secret can forge ID tokens", hs256Issuers), "remove it, and set the client's signing algorithm at the provider to RS256 or ES256")
	case p.Quirks.HS256 && len(p.ClientSecret) < 32:
		add("Quirks.HS256", "short_secret", "needs a ClientSecret of 32 bytes or more (RFC 7518, section 3.2)", "use the channel secret")
	}
}

func (p *Provider) checkIDTokenAlg(add addMistake) {
	switch {
	case p.IDTokenAlg == "", p.Quirks.HS256 && p.IDTokenAlg == "HS256":
	case p.Quirks.HS256:
		add("IDTokenAlg", "quirk", fmt.Sprintf("is %q, but Quirks.HS256 is for tokens signed with HS256", printable.Clip(p.IDTokenAlg)), "remove one of the two")
	case !slices.Contains(rp.SigningAlgs(), p.IDTokenAlg):
		add("IDTokenAlg", "unknown", fmt.Sprintf("%q is not an accepted signature algorithm", printable.Clip(p.IDTokenAlg)),
			"set the algorithm that the client is registered for: "+strings.Join(rp.SigningAlgs(), ", "))
	}
}

// checkPlain checks the fields of a plain OAuth 2.0 provider.
func (p *Provider) checkPlain(add addMistake) {
	if p.AuthorizeURL == "" && p.TokenURL == "" && p.UserinfoURL == "" {
		add("Issuer", "empty", "is empty (is the environment variable set?), like the endpoints", "set Issuer (OpenID Connect), or AuthorizeURL, TokenURL and UserinfoURL (plain OAuth 2.0)")
		return
	}
	for _, e := range []struct{ field, value string }{{"AuthorizeURL", p.AuthorizeURL}, {"TokenURL", p.TokenURL}} {
		if e.value == "" {
			add(e.field, "empty", "is empty and cannot be discovered without an Issuer", "set it")
		}
	}
	switch {
	case p.UserinfoURL == "" && p.Profile == nil:
		add("UserinfoURL", "no_profile", "is empty, so the user cannot be identified", "set it to the URL of the profile, or set Issuer if the provider supports OpenID Connect")
	case p.UserinfoURL != "" && p.Profile != nil:
		add("UserinfoURL", "unused", "is set together with Profile, which replaces it", "remove one of the two")
	}
	p.checkNamespace(add)
	p.checkUnverified(add)
	for _, f := range []struct {
		field string
		set   bool
	}{
		{"JWKSURL", p.JWKSURL != ""}, {"IDTokenAlg", p.IDTokenAlg != ""}, {"Userinfo", p.Userinfo != ""}, {"TokenIssuer", p.TokenIssuer != nil}, {"Quirks.DisableNonce", p.Quirks.DisableNonce},
		{"Quirks.HS256", p.Quirks.HS256},
	} {
		if f.set {
			add(f.field, "openid_only", "is for OpenID Connect, but this provider has no Issuer", "remove it, or set Issuer")
		}
	}
}

// unverifiable are the parameters of the authorization request whose effect only an ID token
// proves.
var unverifiable = []string{"max_age", "acr_values"}

// checkUnverified rejects parameters whose effect cannot be verified: without an Issuer no ID
// token is read, even if the scope openid is requested, and a requested fresh or strong
// authentication would be assumed without proof.
func (p *Provider) checkUnverified(add addMistake) {
	for _, name := range unverifiable {
		reason, fix := fmt.Sprintf("contain %s, which cannot be verified without an Issuer, because there is no ID token", name), "remove it, or set Issuer"
		if _, there := p.AuthParams[name]; there {
			add("AuthParams", "unverified", reason, fix)
		}
		if slices.Contains(p.LoginParams, name) {
			add("LoginParams", "unverified", reason, fix)
		}
	}
}

// checkNamespace checks Namespace, the part of User.ID before the #, which must never change.
func (p *Provider) checkNamespace(add addMistake) {
	if p.Namespace == "" {
		example := "https://provider.example"
		if u, err := url.Parse(p.AuthorizeURL); err == nil && u.Host != "" {
			example = weburl.Origin(u)
		}
		add("Namespace", "empty", "is empty, but is needed for a unique User.ID without an Issuer", fmt.Sprintf("set it to the provider's address, such as %q, and never change it", example))
	} else if strings.ContainsAny(p.Namespace, "# \t\r\n") || len(p.Namespace) > 255 {
		add("Namespace", "malformed", fmt.Sprintf("%q contains # or a space, or is too long", printable.Clip(p.Namespace)), "use the provider's address")
	}
}

// checkNamesake checks for providers with the same Namespace. They share their users, so each
// can impersonate the users of the other.
func (p *Provider) checkNamesake(add addMistake, others []Provider) {
	for i := range others {
		q := &others[i]
		switch {
		case p.LoginPage != "" || q.LoginPage != "": // see checkLoginPage
		case p.Issuer == "" && q.admitsIssuer(p.Namespace):
			add("Namespace", "admitted", fmt.Sprintf("is an issuer of provider %q: this provider could sign in users as users of that one", q.Name), "use another Namespace, or remove one of the two")
		case q.Issuer == "" && p.admitsIssuer(q.Namespace):
			add("Admits", "namespace", fmt.Sprintf("has the Namespace of provider %q, which could sign in users as users of this one", q.Name), "use another Namespace there, or remove one of the two")
		case p.identity() == "" || p.identity() != q.identity() || p.Issuer != "" && q.Issuer != "":
		case q.Issuer != "":
			add("Namespace", "issuer", fmt.Sprintf("is the issuer of provider %q: this provider could sign in users as users of that one", q.Name), "use another Namespace, or remove one of the two")
		case p.Issuer != "":
			add("Issuer", "namespace", fmt.Sprintf("is the Namespace of provider %q, which could sign in users as users of this one", q.Name), "use another Namespace there, or remove one of the two")
		case p.AuthorizeURL != q.AuthorizeURL || p.TokenURL != q.TokenURL || p.UserinfoURL != q.UserinfoURL:
			add("Namespace", "shared", fmt.Sprintf("is also the Namespace of provider %q, which has other endpoints: each could sign in users as users of the other", q.Name), "give each provider a separate Namespace, or both the same endpoints")
		}
	}
}

// admitsIssuer reports whether TokenIssuer may return that issuer according to Admits.
func (p *Provider) admitsIssuer(issuer string) bool {
	return p.TokenIssuer != nil && slices.Contains(p.Admits, issuer)
}

// identity returns the part of User.ID before the #, except for users of TokenIssuer.
func (p *Provider) identity() string { return cmp.Or(p.Issuer, p.Namespace) }

func (p *Provider) checkModes(add addMistake) {
	if !slices.Contains([]string{"", "query", "form_post"}, p.ResponseMode) {
		add("ResponseMode", "unknown", fmt.Sprintf("unknown value %q", p.ResponseMode), `use "query" or "form_post"`)
	}
	if !slices.Contains([]string{"", "missing", "always", "never"}, p.Userinfo) {
		add("Userinfo", "unknown", fmt.Sprintf("unknown value %q", p.Userinfo), `use "missing", "always" or "never"`)
	}
	if !slices.Contains([]string{"", "POST", "GET"}, p.Quirks.TokenMethod) {
		add("Quirks.TokenMethod", "unknown", fmt.Sprintf("unknown value %q", printable.Clip(p.Quirks.TokenMethod)), `use "POST", or "GET" if the provider accepts only that`)
	}
	if strings.ContainsFunc(p.Quirks.AuthorizeFragment, func(r rune) bool { return r > 0x7f || !alphanumeric(byte(r)) && !strings.ContainsRune("-_.", r) }) {
		add("Quirks.AuthorizeFragment", "malformed", fmt.Sprintf("%q contains characters other than letters, digits and -_.", printable.Clip(p.Quirks.AuthorizeFragment)), "use the part after the #, without the #")
	}
	for _, name := range sortedKeys(p.Quirks.Header) {
		if name == "" || strings.ContainsFunc(name, func(r rune) bool { return r > 0x7f || !alphanumeric(byte(r)) && !strings.ContainsRune("-_", r) }) {
			add("Quirks.Header", "name", fmt.Sprintf("%q is not a header name", printable.Clip(name)), "use letters, digits and -")
		}
		if strings.ContainsFunc(p.Quirks.Header[name], unicode.IsControl) {
			add("Quirks.Header", "value", fmt.Sprintf("the value of %q contains a line break or a control character", printable.Clip(name)), "put the value on one line")
		}
	}
}

// badScope reports whether a text is not one scope (RFC 6749, 3.3).
func badScope(s string) bool {
	return s == "" || strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' || r == '"' || r == '\\' })
}

// checkAPIs checks the APIs that may receive the users' access tokens.
func (p *Provider) checkAPIs(add addMistake, devHost bool) {
	seen := map[string]bool{}
	for i := range p.APIs {
		api := &p.APIs[i]
		u, err := url.Parse(api.URL)
		switch what, why := weburl.Unfit(api.URL, devHost); {
		case api.URL == "":
			add("APIs", "empty", "contains an API without a URL", `set the prefix of its URLs: "https://api.example.com/v1/"`)
			continue
		case what != "" || err != nil:
			add("APIs", what, fmt.Sprintf("%q %s", shown(api.URL), why), "use an https URL (http is only for loopback, and for development with a loopback BaseURL)")
			continue
		case !strings.HasSuffix(u.EscapedPath(), "/") || u.RawQuery != "" || u.ForceQuery:
			add("APIs", "no_prefix", fmt.Sprintf("%q does not end with a slash", shown(api.URL)), fmt.Sprintf("use scheme, host and path with a slash at the end: %q", shown(weburl.Origin(u)+strings.TrimRight(u.EscapedPath(), "/")+"/")))
			continue
		case seen[apiAddress(u)]:
			add("APIs", "duplicate", fmt.Sprintf("%q is used twice", shown(api.URL)), "remove one of the two")
		}
		api.URL = apiAddress(u)
		seen[api.URL] = true
		if slices.ContainsFunc(api.Scopes, badScope) {
			add("APIs", "scope", fmt.Sprintf("%q contains a value that is not a single scope", shown(api.URL)), `write each scope as a separate element: []string{"repo", "gist"}`)
		}
		// RFC 8707, 2: "Its value MUST be an absolute URI […] The URI MUST NOT include a
		// fragment component."
		if r, err := url.Parse(api.Resource); api.Resource != "" && (err != nil || !r.IsAbs() || strings.Contains(api.Resource, "#")) {
			add("APIs", "resource", fmt.Sprintf("%q is not an absolute URI without a fragment", printable.Clip(api.Resource)), "use the provider's resource indicator for the API")
		}
	}
}

// checkParams checks the parameters of the authorization request.
func (p *Provider) checkParams(add addMistake) {
	for _, s := range p.Scopes {
		if badScope(s) {
			add("Scopes", "malformed", fmt.Sprintf("%q is not a single scope", printable.Clip(s)), `write each scope as a separate element: []string{"profile", "email"}`)
		}
	}
	if name := p.Quirks.ClientIDParam; name != "client_id" && (rp.ProtocolParam(name) || rp.TokenParam(name)) {
		add("Quirks.ClientIDParam", "protocol_parameter", fmt.Sprintf("%q is the name of another protocol parameter", name), `leave it empty for "client_id"`)
	}
	for _, list := range []struct {
		field string
		names []string
	}{{"AuthParams", sortedKeys(p.AuthParams)}, {"LoginParams", p.LoginParams}} {
		for _, name := range list.names {
			if rp.ProtocolParam(name) || name == "" || name == p.Quirks.ClientIDParam {
				add(list.field, "protocol_parameter", fmt.Sprintf("%q is a protocol parameter", name), "remove it, and use the corresponding field of Provider")
			}
		}
	}
	if v, there := p.AuthParams["max_age"]; there {
		if _, ok := seconds(v); !ok {
			add("AuthParams", "max_age", fmt.Sprintf("contain the max_age %q", printable.Clip(v)), `use a number of seconds: "3600"`)
		}
	}
}

// checkPaths checks ClaimPaths: a malformed path would match nothing, and all users would lack
// the claim.
func (p *Provider) checkPaths(add addMistake) {
	const fix = `write names separated by dots: "realm_access.roles"`
	wrong := func(path string) bool {
		return strings.HasPrefix(path, ".") || strings.HasSuffix(path, ".") || strings.Contains(path, "..") || strings.ContainsFunc(path, unicode.IsSpace)
	}
	for _, claim := range sortedKeys(p.ClaimPaths) {
		if path := p.ClaimPaths[claim]; claim == "" || path == "" || wrong(path) {
			add("ClaimPaths", "malformed", fmt.Sprintf("%q for %q is not a path", printable.Clip(path), printable.Clip(claim)), fix)
		}
	}
}

// isResourceServer reports whether the provider is for access tokens only: it has no client.
func (p *Provider) isResourceServer() bool {
	return p.Audience != "" && p.ClientID == "" && p.LoginPage == ""
}

// checkTokens checks Audience and Introspect.
func (p *Provider) checkTokens(add addMistake) {
	switch {
	case p.Introspect && p.Audience == "":
		add("Introspect", "audience", "is set, but Audience is empty: a token for any other API would be accepted", "set Audience to the aud in the provider's introspection responses for this API")
	case p.Audience == "":
		return
	case p.Issuer == "":
		add("Audience", "openid_only", "is set, but this provider has no Issuer, which identifies the keys that sign the tokens", "set Issuer, or authenticate the application's own API keys in Hooks.Authenticate")
	case p.Audience == p.ClientID:
		add("Audience", "client_id", "is the ClientID, which is the aud of ID tokens, not of access tokens", "register the API as a separate application or resource at the provider, and use its identifier")
	}
	if what, reason, fix := pasted(p.Audience); what != "" {
		add("Audience", what, reason, fix)
	}
}

// checkResourceServer checks a provider without a client.
func (p *Provider) checkResourceServer(add addMistake, devHost bool) {
	for _, f := range []struct {
		field string
		set   bool
	}{
		{"ClientSecret", p.ClientSecret != "" || p.ClientSecretFunc != nil}, {"PrivateKey", p.PrivateKey != nil}, {"APIs", len(p.APIs) > 0},
		{"Recheck", p.Recheck != 0}, {"CallbackPath", p.CallbackPath != ""}, {"Introspect", p.Introspect},
	} {
		if f.set {
			add(f.field, "no_client", "is set, but ClientID is empty (is the environment variable set?)", "set ClientID, or remove this field if the provider is only for access tokens")
		}
	}
	p.checkAddresses(add, devHost)
	p.checkTenant(add)
	p.checkPaths(add)
}

// checkAudiences checks that the aud of a provider's access tokens is not that of ID tokens of
// the same issuer, for any client, and that only one provider introspects, since an opaque
// token does not name its issuer.
func checkAudiences(wrong *mistakes, list []Provider) {
	introspect := ""
	for i := range list {
		p := &list[i]
		add := func(field, what, reason, fix string) {
			*wrong = append(*wrong, &Error{Code: ErrInvalidOptions, ID: errid.Of("Provider."+field, what), Op: fmt.Sprintf("provider %q: %s", printable.Clip(p.Name), field), Reason: reason, Fix: fix})
		}
		for j := range list {
			if q := &list[j]; i != j && p.Audience != "" && p.Issuer == q.Issuer && p.Audience == q.ClientID {
				add("Audience", "client_id", fmt.Sprintf("is the ClientID of provider %q, and therefore the aud of ID tokens of the same issuer", printable.Clip(q.Name)), "register the API as a separate application or resource at the provider, and use its identifier")
			}
		}
		if p.Introspect && introspect != "" {
			add("Introspect", "twice", fmt.Sprintf("is also set for provider %q, but an opaque token does not identify its issuer", printable.Clip(introspect)), "set it for one provider only")
		}
		if p.Introspect {
			introspect = p.Name
		}
	}
}
