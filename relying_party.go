package ginauth

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/oauth2"

	"github.com/ginauth/ginauth/internal/contain"
	"github.com/ginauth/ginauth/internal/rp"
)

// leeway is the tolerated clock skew of providers, browsers and replicas.
const leeway = rp.Leeway

// client is a configured Provider with its relying party.
type client struct {
	provider    Provider
	cfg         *config
	rp          *rp.Client // nil for a provider that is a page of the application
	issuers     *issuers
	redirectURI string
	shared      bool     // redirectURI is also that of other providers
	loginParams []string // the parameters that /login/:provider reads

	owner [32]byte // see tokensOwner
	apis  []knownAPI
	tokenFailures
	groupsWarned atomic.Bool // about groups that the claim does not contain
	hintWarned   atomic.Bool // about an ID token that is too large to store
}

// newClient returns the client of a checked Provider. It reuses cached data of a client in
// known for the same provider.
func newClient(p Provider, cfg *config, h *http.Client, shared bool, known []*rp.Client) *client {
	c := &client{provider: p, cfg: cfg, issuers: p.issuers(), shared: shared, owner: tokensOwner(&p)}
	c.loginParams = append([]string{"return_to", "link", "demand", "iss", "target_link_uri", "login_hint"}, p.LoginParams...)
	c.apis = knownAPIs(c.provider.APIs)
	if c.isPage() {
		return c
	}
	if !p.isResourceServer() {
		c.redirectURI = cfg.url(strings.Replace(cfg.callbackPattern(&p), nameParam, p.Name, 1))
	}
	c.rp = rp.New(c.rpConfig(h), known...)
	return c
}

// uri returns the public URL of a route with the provider's name.
func (c *client) uri(before, after string) string {
	return c.cfg.url(c.cfg.mount + before + c.provider.Name + after)
}

// rpConfig returns the configuration of a Provider's relying party.
func (c *client) rpConfig(h *http.Client) rp.Config {
	p := &c.provider
	cfg := rp.Config{
		Name: p.Name, Issuer: p.Issuer, Namespace: p.Namespace,
		ClientID: p.ClientID, ClientSecret: p.ClientSecret, ClientSecretFunc: p.ClientSecretFunc, AuthMethod: p.AuthMethod,
		PrivateKey: p.PrivateKey, KeyID: p.KeyID,
		IDTokenAlg:  p.IDTokenAlg,
		RedirectURI: c.redirectURI, SharedRedirect: c.shared,
		AuthorizeURL: p.AuthorizeURL, TokenURL: p.TokenURL, UserinfoURL: p.UserinfoURL, JWKSURL: p.JWKSURL,
		EndSessionURL: p.Logout.EndSessionURL, LogoutURL: p.Logout.URL, LogoutLocal: p.Logout.Local,
		Development: c.cfg.loopback,
		Resources:   resourcesOf(p.APIs),
		Audience:    p.Audience, Introspect: p.Introspect,
		Scopes: p.Scopes, AuthParams: p.AuthParams,
		ResponseMode: p.ResponseMode, ResponseIssuer: p.ResponseIssuer, Userinfo: p.Userinfo,
		Names: claimNames(p), Pairs: c.verifiedPairs(), Complete: c.complete,
		VerifyCallback: p.VerifyCallback, TokenIssuer: p.TokenIssuer,
		Quirks: rp.Quirks(p.Quirks),
		HTTP:   h, Now: c.cfg.Now, Warn: c.warn,
	}
	if p.Profile != nil {
		cfg.Profile = c.profile
	}
	return cfg
}

// profile calls Provider.Profile. An *Error or a Code that it returns decides the sign-in, so
// it is converted into an error of the relying party.
func (c *client) profile(ctx context.Context, h *http.Client, token *oauth2.Token) (map[string]any, error) {
	claims, err := c.provider.Profile(ctx, h, token)
	e, _ := errors.AsType[*Error](err)
	if code, bare := errors.AsType[Code](err); bare && e == nil {
		e = &Error{Code: code, ID: "profile.refused", Op: "read profile", Provider: c.provider.Name, Err: err}
	}
	if e != nil {
		return nil, &rp.Error{Code: rp.Code(e.Code), ID: e.ID, Provider: e.Provider, Op: e.Op, Reason: e.Reason, Fix: e.Fix, Cause: e.Err, RetryAfter: e.retryAfter}
	}
	return claims, err
}

// warn logs a failure that does not fail a request, under the id of its consequence. The
// failure itself is logged as the cause.
func (c *client) warn(id, message string, err error) {
	err = fromRP(err)
	attrs := []slog.Attr{slog.String("provider", c.provider.Name)}
	if e, ok := err.(*Error); ok && e.ID != "" && e.ID != id {
		attrs = append(attrs, slog.String("cause", e.ID))
	}
	c.cfg.log(context.Background(), slog.LevelWarn, id, message, append(attrs, slog.Any("error", err))...)
}

// fromRP returns err as an error of this package. Every error of package rp must pass through
// it where rp is called: errors.As would find, in the cause of an *rp.Error, an *Error that a
// function of the application returned and that must not determine the response.
func fromRP(err error) error {
	switch e := err.(type) {
	case *rp.Error:
		return convert(e)
	case interface{ Unwrap() []error }:
		list := e.Unwrap()
		errs := make([]error, len(list))
		for i, err := range list {
			errs[i] = fromRP(err)
		}
		return errors.Join(errs...)
	}
	return err
}

func convert(e *rp.Error) *Error {
	return &Error{Code: Code(e.Code), ID: e.ID, Op: e.Op, Provider: e.Provider, Reason: e.Reason, Fix: e.Fix, Err: e.Cause, retryAfter: e.RetryAfter}
}

// discover fetches the provider's metadata unless it is cached.
func (c *client) discover(ctx context.Context) error { return fromRP(c.rp.Discover(ctx)) }

// authorizationURL returns the authorization URL. It stores the provider's fingerprint in
// state, for the callback to compare.
func (c *client) authorizationURL(ctx context.Context, state *loginState, passed, demanded map[string]string) (string, error) {
	r := state.request()
	r.Demanded = demanded
	location, fingerprint, err := c.rp.AuthorizationURL(ctx, r, passed)
	state.print = fingerprint
	return location, fromRP(err)
}

// checkResponse checks a response with a valid state, before its code is redeemed.
func (c *client) checkResponse(ctx context.Context, params url.Values) error {
	if c.provider.ResponseMode == "form_post" && len(params) == 1 {
		return &Error{Code: ErrBadRequest, ID: "form_post.lost", Op: "check response", Provider: c.provider.Name,
			Reason: "the provider's form data is missing: its cookie was blocked, or is older than a minute", Fix: "start again"}
	}
	return fromRP(c.rp.CheckResponse(ctx, params))
}

// redeem exchanges the code of a response for a verified identity.
func (c *client) redeem(ctx context.Context, state *loginState, params url.Values) (*rp.Identity, error) {
	id, err := c.rp.Redeem(ctx, state.request(), params)
	return id, fromRP(err)
}

// keepsTokens reports whether the tokens of the provider's users are stored.
func (c *client) keepsTokens() bool { return len(c.provider.APIs) > 0 || c.provider.Recheck > 0 }

// refresh sends a refresh token without the data of a sign-in. An error can come with a token
// that has only a refresh token: see rp.Client.Refresh.
func (c *client) refresh(ctx context.Context, refreshToken string) (*oauth2.Token, error) {
	got, err := c.rp.Refresh(ctx, rp.RefreshRequest{RefreshToken: refreshToken})
	if got == nil {
		return nil, fromRP(err)
	}
	return got.Token, fromRP(err)
}

// revocationWait is how long a refresh token's revocation may take.
const revocationWait = 2 * time.Second

// revokeLater revokes the refresh token of an ended session at the provider, in the
// background.
func (c *client) revokeLater(r *tokenRecord) {
	if r.of(c) == nil || r.refreshToken == "" || r.ended {
		return
	}
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), revocationWait)
		defer cancel()
		if err := contain.Do(func() error { return c.rp.Revoke(ctx, r.refreshToken) }); err != nil {
			c.cfg.log(ctx, slog.LevelWarn, "refresh.not_revoked", "a refresh token could not be revoked at the provider", slog.String("provider", c.provider.Name), slog.Any("error", fromRP(err)))
		}
	}()
}

// verifyClaims applies the Provider's own rules to a verified identity, and adds the name that
// only the response has.
func (c *client) verifyClaims(id *rp.Identity, params url.Values) error {
	if params != nil { // at a sign-in
		c.addName(id.Claims, params)
	}
	if !c.issuers.admit(id.Issuer) {
		return &Error{Code: ErrIdentityRejected, ID: "claims.issuer", Op: "verify claims", Provider: c.provider.Name, Reason: "Provider.Admits does not contain the issuer of the ID token, so the session would end at once",
			Fix: "add the issuer to Admits, or reject it in TokenIssuer"}
	}
	if c.provider.VerifyClaims != nil {
		if err := c.provider.VerifyClaims(id.Claims); err != nil {
			return &Error{Code: ErrIdentityRejected, ID: "claims.rejected", Op: "verify claims", Provider: c.provider.Name, Reason: "Provider.VerifyClaims rejected the user", Fix: "ignore this if the account should be rejected", Err: err}
		}
	}
	return nil
}

// logoutTarget is what a logout token signs out.
type logoutTarget struct {
	keys   []RevocationKey
	issued time.Time
	user   *User // only Issuer and Subject; Subject is "" if the token has no sub
}

// verifyLogoutToken verifies a logout token and returns which sessions it ends.
func (c *client) verifyLogoutToken(ctx context.Context, raw string) (logoutTarget, error) {
	t, err := c.rp.VerifyLogoutToken(ctx, raw)
	if err != nil {
		return logoutTarget{}, fromRP(err)
	}
	target := logoutTarget{issued: t.IssuedAt, user: &User{Issuer: t.Issuer, Subject: t.Subject}}
	if t.SID != "" {
		// The session with that sid, and sessions of the user without a sid. No session has
		// the subject "", so a token without sub ends only the former.
		target.keys = []RevocationKey{revocationKey(providerSession, t.Issuer, t.SID), revocationKey(providerNoSession, t.Issuer, t.Subject)}
	} else {
		target.keys = []RevocationKey{revocationKey(providerUser, t.Issuer, t.Subject)}
	}
	return target, nil
}
