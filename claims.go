package ginauth

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/ginauth/ginauth/internal/rp"
	"github.com/ginauth/ginauth/internal/strictjson"
)

// identityClaims are the claims that identify a user or grant access.
var identityClaims = []string{
	"name", "given_name", "family_name", "preferred_username", "email", "email_verified", "picture", "locale",
	"groups", "roles", "tid", "oid", "hd",
}

// scopeClaims lists the claims that each scope requests (OpenID Connect Core 1.0, section 5.4)
// and User has; scopeMore lists those that User does not have.
var (
	scopeClaims = map[string][]string{
		"profile": {"name", "preferred_username", "picture", "locale"},
		"email":   {"email", "email_verified"},
	}
	scopeMore = map[string][]string{
		"profile": {"family_name", "given_name", "middle_name", "nickname", "profile", "website", "gender", "birthdate", "zoneinfo", "updated_at"},
		"address": {"address"},
		"phone":   {"phone_number", "phone_number_verified"},
	}
)

// claimNames returns the claim names that a Provider uses besides those of the protocol,
// including the first names of its claim paths.
func claimNames(p *Provider) []string {
	names := slices.Concat(identityClaims, sortedKeys(p.ClaimPaths))
	for _, path := range p.ClaimPaths {
		head, _, _ := strings.Cut(path, ".")
		names = append(names, head)
	}
	return names
}

// claimPath returns the path of a claim in the provider's response.
func (c *client) claimPath(claim string) string {
	if path, there := c.provider.ClaimPaths[claim]; there {
		return path
	}
	return claim
}

// mapped returns the claims under their standard names according to ClaimPaths; nil if a path
// has no value.
func (c *client) mapped(sent map[string]any) map[string]any {
	if len(c.provider.ClaimPaths) == 0 {
		return sent
	}
	claims := maps.Clone(sent)
	for claim, path := range c.provider.ClaimPaths {
		claims[claim], _ = strictjson.Lookup(sent, path)
	}
	return claims
}

// verifiedPairs are the paths of addresses and of their verified flags, under their standard
// names and those of ClaimPaths.
func (c *client) verifiedPairs() [][2]string {
	var pairs [][2]string
	for _, name := range []string{"email", "phone_number"} {
		flag := name + "_verified"
		pairs = append(pairs, [2]string{name, flag})
		if _, mapped := c.provider.ClaimPaths[flag]; mapped {
			pairs = append(pairs, [2]string{c.claimPath(name), c.claimPath(flag)})
		}
	}
	return pairs
}

// wantsGroups reports whether the Provider is configured to have groups. It does not depend on
// one user's claims: userinfo would be called for some users and not for others.
func (c *client) wantsGroups() bool {
	_, written := c.provider.ClaimPaths["groups"]
	return written || slices.Contains(c.provider.Scopes, "groups")
}

// complete reports whether an ID token has every requested claim that User has or the
// application keeps, so that the userinfo endpoint need not be called.
func (c *client) complete(claims map[string]any) bool {
	mapped := c.mapped(claims)
	missing := func(name string) bool { return mapped[name] == nil }
	if c.wantsGroups() && missing("groups") {
		return false
	}
	all := slices.Contains(c.cfg.KeepClaims, "*")
	for _, scope := range c.provider.Scopes {
		if slices.ContainsFunc(scopeClaims[scope], missing) || all && slices.ContainsFunc(scopeMore[scope], missing) {
			return false
		}
	}
	return !slices.ContainsFunc(c.cfg.KeepClaims, func(name string) bool { return name != "*" && missing(name) })
}

// namespace returns the part of User.ID before the # if no token names the issuer.
func (c *client) namespace() string { return c.provider.identity() }

// emailVerified applies the Provider's rule to the claims as sent, or else checks that the
// standard claim is the boolean true. As sent, that claim applies to the email beside it, and
// not to an address that ClaimPaths found elsewhere.
func (c *client) emailVerified(sent, claims map[string]any) bool {
	if c.provider.EmailVerified != nil {
		return c.provider.EmailVerified(sent)
	}
	if _, mapped := c.provider.ClaimPaths["email_verified"]; !mapped && text(sent, "email") != text(claims, "email") {
		return false
	}
	return claims["email_verified"] == true
}

// addName adds the name of Provider.NameFromCallback if the claims have none. It is unsigned,
// so the user can set it to anything.
func (c *client) addName(claims map[string]any, answer url.Values) {
	if c.provider.NameFromCallback == nil || fullName(c.mapped(claims)) != "" {
		return
	}
	name := strings.TrimSpace(c.provider.NameFromCallback(maps.Clone(answer)))
	if name != "" && len(name) <= 200 && utf8.ValidString(name) && !strings.ContainsFunc(name, unicode.IsControl) {
		claims[c.claimPath("name")] = name
	}
}

// explainNoGroups logs why a user has no groups, if the claim is missing.
func (c *client) explainNoGroups(claims map[string]any) {
	if claims["groups"] != nil {
		return
	}
	path := c.claimPath("groups")
	name, _, _ := strings.Cut(path, ".")
	elsewhere := ""
	// OpenID Connect Core 1.0, 5.6.2: a distributed claim is named in _claim_names.
	// Entra ID sends groups that way for users in more than 200 groups, and hasgroups where
	// even that does not fit.
	if names, _ := claims["_claim_names"].(map[string]any); names[name] != nil {
		elsewhere = "_claim_names"
	} else if says, _ := claims["hasgroups"].(bool); name == "groups" && (says || claims["hasgroups"] == "true") {
		elsewhere = "hasgroups"
	}
	if elsewhere == "" {
		fix := `set Provider.ClaimPaths["groups"] to the claim that has the groups; userinfo is then requested if the ID token lacks it`
		if c.wantsGroups() {
			fix = "check the claims that the provider sends: a mapper or a scope may be missing"
		}
		c.cfg.log(context.Background(), slog.LevelDebug, "claims.no_groups", "the user has no groups: neither the ID token nor userinfo has the claim",
			slog.String("provider", c.provider.Name), slog.String("claim", path), slog.String("fix", fix))
		return
	}
	if c.groupsWarned.CompareAndSwap(false, true) {
		c.warn("claims.groups_elsewhere", "a user signed in without groups, because the ID token only refers to them", &Error{
			Code: ErrProviderMisconfigured, ID: "claims.groups_elsewhere", Op: "read profile", Provider: c.provider.Name,
			Reason: fmt.Sprintf("the ID token has %[2]s instead of %[1]q: the user is in too many groups for a token", name, elsewhere),
			Fix:    `use app roles at Entra ID (ClaimPaths["groups"]: "roles"), emit only the groups assigned to the application, or fetch the groups in OnLogin`,
		})
	}
}

// newUser builds the User of verified claims. It is the same for all kinds of providers.
func newUser(c *client, id *rp.Identity, now time.Time, pictureOverHTTP bool) (*User, error) {
	claims := c.mapped(id.Claims)
	rejected := func(id, reason, fix string, err error) error {
		return &Error{Code: ErrIdentityRejected, ID: id, Op: "read profile", Provider: c.provider.Name, Reason: reason, Fix: fix, Err: err}
	}
	subject, err := rp.ValidSubject(claims["sub"])
	if err != nil {
		return nil, rejected("claims.sub", "the profile has no valid subject: "+err.Error(),
			`map "sub" in Provider.ClaimPaths to the profile's stable id, never to a username`, nil)
	}
	var kept *keptClaims
	if c.cfg.Hooks.OnLogin != nil || c.cfg.Hooks.OnRecheck != nil || c.cfg.Hooks.OnToken != nil || len(c.cfg.KeepClaims) > 0 { // else they are never read
		raw, err := json.Marshal(id.Claims)
		if err != nil {
			return nil, rejected("claims.unwritable", "the claims cannot be encoded as JSON", "check the return value of Provider.Profile", err)
		}
		kept = &keptClaims{json: string(raw)}
	}
	u := &User{
		Provider: c.provider.Name, Issuer: id.Issuer, Subject: subject,
		Name: fullName(claims), Username: text(claims, "preferred_username"),
		Email: text(claims, "email"), Locale: text(claims, "locale"),
		Groups: groups(claims["groups"]), AuthTime: now,
		kept: kept,
	}
	if len(id.ACR) <= acrLimit {
		u.ACR = id.ACR
	}
	u.EmailVerified = u.Email != "" && c.emailVerified(id.Claims, claims)
	c.explainNoGroups(claims)
	if p := text(claims, "picture"); strings.HasPrefix(p, "https://") || pictureOverHTTP && strings.HasPrefix(p, "http://") {
		u.Picture = p
	}
	if at, ok := strictjson.NumericDate(claims["auth_time"]); ok && at.Unix() != 0 && !at.After(now.Add(leeway)) { // 0 is unknown
		u.AuthTime = at
	}
	return u, nil
}

// text returns a claim if it is a string; a number in plain OAuth 2.0 profiles is returned in
// decimal form.
func text(claims map[string]any, name string) string {
	s, _ := strictjson.String(claims[name])
	return s
}

func fullName(claims map[string]any) string {
	if name := text(claims, "name"); name != "" {
		return name
	}
	return strings.TrimSpace(text(claims, "given_name") + " " + text(claims, "family_name"))
}

// groups reads the groups claim: a list of strings, or a string, which is one group. Any other
// value is ignored.
func groups(claim any) []string {
	if s, ok := claim.(string); ok {
		return []string{s}
	}
	return strictjson.Strings(claim)
}
