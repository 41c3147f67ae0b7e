package ginauth

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/ginauth/ginauth/internal/contain"
	"github.com/ginauth/ginauth/internal/cookie"
	"github.com/ginauth/ginauth/internal/errid"
	"github.com/ginauth/ginauth/internal/printable"
	"github.com/ginauth/ginauth/internal/rp"
)

const (
	diagnoseMost = 16               // providers that are checked at the same time
	diagnoseWait = 10 * time.Second // for a function of the application, or a store
)

// Diagnosis is the result of [Auth.Diagnose]. It prints as text for a terminal, and encodes as
// JSON for a health page. It contains host names but no secrets: show it only to operators.
type Diagnosis struct {
	BaseURL string `json:"base_url"`

	// Problems prevent users from signing in, now or later. Each has a Reason, and a Fix if
	// the application can do something about it. It is empty if all is well.
	Problems []*Error `json:"problems"`

	// Warnings are about settings that work but may be unintended.
	Warnings []*Error `json:"warnings"`

	// Providers are in the order of Options.Providers.
	Providers []ProviderDiagnosis `json:"providers"`

	// Cookies are all cookies that this Auth sets.
	Cookies []CookieDiagnosis `json:"cookies"`

	// ResourceMetadata is the URL of the metadata that names the accepted issuers of access
	// tokens (RFC 9728); "" if no provider has an Audience.
	ResourceMetadata string `json:"resource_metadata,omitempty"`
}

// ProviderDiagnosis is the result of [Auth.Diagnose] for one provider.
type ProviderDiagnosis struct {
	Name   string `json:"name"`             // Provider.Name
	Issuer string `json:"issuer,omitempty"` // Provider.Issuer; "" for plain OAuth 2.0

	// LoginPage is the URL of a provider that is a page of the application. The page is not
	// requested, and the other fields are empty.
	LoginPage string `json:"login_page,omitempty"`

	// Reachable reports whether every endpoint that a sign-in requests from this machine
	// responded: metadata, signing keys, token and userinfo.
	Reachable bool `json:"reachable"`

	// The URLs to register at the provider, exactly; "" if there is nothing to register.
	RedirectURI           string `json:"redirect_uri"`
	PostLogoutRedirectURI string `json:"post_logout_redirect_uri,omitempty"`
	BackChannelLogoutURI  string `json:"backchannel_logout_uri,omitempty"`
	FrontChannelLogoutURI string `json:"frontchannel_logout_uri,omitempty"`

	// JWKS is the JWK Set (RFC 7517) to register at the provider, with the public half of
	// Provider.PrivateKey; nil without one.
	JWKS json.RawMessage `json:"jwks,omitempty"`

	// Audience is Provider.Audience: access tokens for it are accepted, in addition to
	// sign-ins or, without a ClientID, only these.
	Audience string `json:"audience,omitempty"`

	// APIs are the URLs in Provider.APIs.
	APIs []string `json:"apis,omitempty"`

	// Endpoints are the endpoints in use, configured or discovered, without their queries.
	// Offered lists what the provider supports according to its metadata. Both have the names
	// of OpenID Connect Discovery 1.0, section 3, and are empty without metadata.
	Endpoints map[string]string   `json:"endpoints,omitempty"`
	Offered   map[string][]string `json:"offered,omitempty"`

	// The settings that a sign-in uses.
	Scopes       []string       `json:"scopes,omitempty"`
	AuthMethod   string         `json:"token_endpoint_auth_method,omitempty"`
	ResponseMode string         `json:"response_mode"`
	PKCE         string         `json:"code_challenge_method,omitempty"`
	SignOut      string         `json:"sign_out,omitempty"`     // what POST /logout does, in a sentence; "" without metadata
	RequiresIss  bool           `json:"iss_required"`           // in responses: RFC 9207
	Algorithms   []string       `json:"algorithms,omitempty"`   // accepted for ID tokens
	Keys         map[string]int `json:"signing_keys,omitempty"` // usable published keys, by algorithm

	// ClockAhead is how far the provider's clock is ahead of this machine's, within
	// ClockTolerance: half the time that the response took plus half a second, to which its
	// Date header is rounded. A tolerance of 0 means that no response had a Date.
	ClockAhead     time.Duration `json:"clock_ahead_ns"`
	ClockTolerance time.Duration `json:"clock_tolerance_ns"`
}

// CookieDiagnosis describes one cookie.
type CookieDiagnosis struct {
	Name       string        `json:"name"`       // a * replaces the part that varies
	Use        string        `json:"use"`        // its purpose
	Attributes string        `json:"attributes"` // as in Set-Cookie, without Max-Age
	Life       time.Duration `json:"life_ns"`    // Max-Age
}

// Diagnose checks every provider and the stores, and reports what is wrong and what to
// register where. It returns no error: failures are in [Diagnosis.Problems]. It signs no user
// in and sends no secret and no code. Sign-ins in progress are not affected: cached metadata
// and keys are unchanged, and failures do not count against a provider.
//
// It fetches a provider's metadata and signing keys, and sends a HEAD request without a query
// to the other endpoints, or OPTIONS to the authorization endpoint, where a HEAD would be
// logged as a failed sign-in. It calls [Provider.ClientSecretFunc], and signs an assertion
// with [Provider.PrivateKey] that it discards. It reads [Options.Revocations], checks that
// [Cached] ones are followed, and writes, reads and deletes a record in [Options.Sessions].
// With 16 providers or fewer it takes at most 20 seconds, or until ctx is done.
//
// Use it in a terminal, a test or an operator's page. For a readiness probe that runs every
// few seconds, use [Auth.Warm].
func (a *Auth) Diagnose(ctx context.Context) *Diagnosis {
	ctx = requestContext(ctx)
	g := a.providers.Load()
	d := &Diagnosis{BaseURL: a.cfg.BaseURL, Problems: []*Error{}, Warnings: a.remarks()}
	parties := g.parties()
	reports := make([]*rp.Report, len(parties))
	var stores [2]error
	var deaf error
	var tries, group errgroup.Group
	tries.Go(func() error {
		if stores[0] = a.askRevocations(ctx); stores[0] == nil {
			deaf = a.followRevocations(ctx)
		}
		return nil
	})
	tries.Go(func() error { stores[1] = g.sessions.try(ctx); return nil })
	group.SetLimit(diagnoseMost)
	for i, cl := range parties {
		group.Go(func() error { reports[i] = cl.rp.Diagnose(ctx); return nil })
	}
	_, _ = tries.Wait(), group.Wait() // the functions return no errors
	for _, err := range stores {
		if err != nil {
			d.Problems = append(d.Problems, complete(err, Error{Code: ErrStoreUnavailable, ID: "store.failed"}))
		}
	}
	if deaf != nil {
		d.Warnings = append(d.Warnings, &Error{Code: ErrInvalidOptions, ID: "options.revocations.deaf", Op: "Options.Revocations", Err: deaf,
			Reason: deafRemark, Fix: "check the cause; docs/replicas.md lists the requirements for the store"})
	}
	found := map[*client]*rp.Report{}
	for i, r := range reports {
		found[parties[i]] = r
		for _, e := range r.Problems {
			d.Problems = append(d.Problems, convert(e))
		}
		for _, e := range r.Warnings {
			d.Warnings = append(d.Warnings, convert(e))
		}
	}
	if g.takesTokens() {
		d.ResourceMetadata = a.metadataURL()
	}
	for _, name := range g.all {
		if cl := g.clients[name]; cl.isPage() {
			d.Providers = append(d.Providers, ProviderDiagnosis{Name: name, LoginPage: cl.pageURL(""), Reachable: true})
		} else {
			d.addProvider(cl, found[cl])
		}
	}
	if !a.cfg.resourceServer {
		d.addCookies(a, g)
	}
	return d
}

// addProvider adds what was found at a provider, and what to register there.
func (d *Diagnosis) addProvider(c *client, r *rp.Report) {
	p := &c.provider
	d.Providers = append(d.Providers, ProviderDiagnosis{})
	to := &d.Providers[len(d.Providers)-1]
	to.Name, to.Issuer, to.Audience = p.Name, p.Issuer, p.Audience
	to.Reachable = !slices.ContainsFunc(r.Problems, func(e *rp.Error) bool { return e.Code == rp.ProviderUnavailable || e.Code == rp.ProviderTimeout })
	to.Algorithms, to.Keys, to.Endpoints, to.Offered = r.Algorithms, r.Keys, r.Endpoints, r.Offered
	to.ClockAhead, to.ClockTolerance = r.ClockAhead, r.ClockTolerance
	if p.isResourceServer() {
		return
	}
	to.RedirectURI, to.ResponseMode = c.redirectURI, p.ResponseMode
	for i := range p.APIs {
		to.APIs = append(to.APIs, p.APIs[i].URL)
	}
	if r.Returns {
		to.PostLogoutRedirectURI = c.cfg.logoutReturn()
	}
	if p.Issuer != "" {
		to.BackChannelLogoutURI, to.FrontChannelLogoutURI = c.uri("/logout/", "/backchannel"), c.uri("/logout/", "/frontchannel")
	}
	if !p.Quirks.DisablePKCE {
		to.PKCE = "S256"
	}
	to.Scopes = slices.Clone(p.Scopes)
	to.AuthMethod, to.RequiresIss = r.AuthMethod, r.RequiresIss
	to.JWKS = r.JWKS
	to.SignOut = c.signOutText(to.Endpoints)
}

// signOutText describes where a sign-out ends sessions.
func (c *client) signOutText(endpoints map[string]string) string {
	switch l := c.provider.Logout; {
	case l.Local:
		return "here only, as set by Logout.Local; the user stays signed in at the provider"
	case l.URL != "":
		return "here, then at the address in Logout.URL"
	case len(endpoints) == 0:
		return ""
	case endpoints["end_session_endpoint"] == "":
		return "here only: the provider has no end-session endpoint, so the user stays signed in there"
	case !c.mayHint():
		return "here, then at the provider without id_token_hint: most providers ask the user to confirm, some refuse"
	}
	return "here, then at the provider with the ID token as id_token_hint, so it need not ask for confirmation"
}

// Remarks are about Options that work but may be unintended. Mount logs them, too.
const (
	memoryRemark      = "revocations are kept in the memory of this process: they are lost on restart and not shared between replicas"
	memstoreRemark    = "is a memstore, which keeps sessions in the memory of this process: they are lost on restart and not shared between replicas"
	memstoreFix       = "leave the option unset to keep sessions in a sealed cookie, or use a store backed by a server"
	tokensRemark      = "user tokens are kept in the memory of this process: they are lost on restart and not shared between replicas, and users are then sent to the provider and back"
	noProvidersRemark = "is empty, so no user can sign in: /login responds with 404"
	deafRemark        = "revocations of other replicas cannot be followed, so every request queries the store"
	insecureRemark    = "BaseURL is http: anyone on this network can read and use session cookies, codes and passwords"
	keyMadeRemark     = "a random key was generated, which is fine for development; sessions end with this process, and other replicas cannot complete its sign-ins"
)

func (a *Auth) remarks() []*Error {
	list := []*Error{}
	remark := func(is bool, where, what, reason, fix string) {
		if is {
			list = append(list, &Error{Code: ErrInvalidOptions, ID: errid.Of(where, what), Op: where, Reason: reason, Fix: fix})
		}
	}
	remark(a.cfg.insecure, "Options.InsecureHTTP", "used", insecureRemark, "use https in BaseURL")
	remark(!a.cfg.secure && !a.cfg.insecure, "Options.BaseURL", "http", "is http: cookies have neither Secure nor the __Host- prefix, which is for development only", "use https in production")
	remark(a.cfg.keyMade, "Options.Keys", "generated", "is empty: "+keyMadeRemark, "generate a key: openssl rand -hex 32")
	remark(len(a.providers.Load().all) == 0, "Options.Providers", "empty", noProvidersRemark, "add a provider: providers.Google(clientID, clientSecret), or a Provider with an Issuer")
	remark(a.revokesInMemory() && !a.cfg.loopback && !a.cfg.resourceServer, "Options.Revocations", "memory", memoryRemark, "set Options.Revocations to share them between replicas")
	remark(a.keepsTokensInMemory() && !a.cfg.loopback, "Options.Tokens", "memory", tokensRemark, "set Options.Tokens and Options.Revocations to share them between replicas")
	remark(keptInMemory(a.cfg.Sessions) && !a.cfg.loopback, "Options.Sessions", "memstore", memstoreRemark, memstoreFix)
	return list
}

// revokesInMemory reports whether revocations are in this process's memory.
func (a *Auth) revokesInMemory() bool {
	_, memory := a.cfg.Revocations.(*memoryRevocations)
	return memory
}

// keepsTokensInMemory reports whether tokens are kept, and in this process's memory.
func (a *Auth) keepsTokensInMemory() bool {
	_, memory := a.cfg.Tokens.(*memoryTokens)
	return memory && a.providers.Load().keepsTokens()
}

// keepsTokens reports whether the tokens of any provider's users are kept.
func (g *registry) keepsTokens() bool {
	return slices.ContainsFunc(g.parties(), (*client).keepsTokens)
}

// askRevocations reads the watermarks of a session that does not exist.
func (a *Auth) askRevocations(ctx context.Context) error {
	keys := (&session{id: rand.Text()[:sessionIDSize], user: new(User)}).keys()
	err := contain.Within(ctx, diagnoseWait, func(ctx context.Context) error {
		_, err := a.cfg.watermarks(ctx, keys)
		return err
	})
	if _, told := errors.AsType[*Error](err); err != nil && !told {
		err = storeUnavailable("read revocations", err)
	}
	return err
}

// followRevocations waits until the Revocations of [Cached] can answer from memory, and returns
// an error if they cannot.
func (a *Auth) followRevocations(ctx context.Context) error {
	c, ok := a.cfg.Revocations.(*cachedRevocations)
	if !ok {
		return nil
	}
	return contain.Within(ctx, diagnoseWait, c.settle)
}

// warnDeaf logs that the revocations of other replicas cannot be followed.
func (a *Auth) warnDeaf(err error) {
	a.cfg.log(context.Background(), slog.LevelWarn, "options.revocations.deaf", "Options.Revocations: "+deafRemark, slog.Any("error", err))
}

// try writes, reads and deletes a record in Options.Sessions. A read alone would prove nothing:
// without one of their cookies, stores do not query their servers.
func (k *sessions) try(ctx context.Context) error {
	store, ok := k.backend.(*storeBackend)
	if !ok {
		return nil
	}
	err := contain.Within(ctx, diagnoseWait, store.try)
	if _, told := errors.AsType[*Error](err); err != nil && !told {
		err = storeFailed("try session store", err)
	}
	return err
}

// try saves a record in the store, reads it back, and deletes it. Its cookies are discarded,
// and a record of version 0 cannot be opened as a session.
func (b *storeBackend) try(ctx context.Context) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "/", http.NoBody)
	if err != nil {
		return err
	}
	answer := discard{}
	record := []byte("\x00" + rand.Text()) // as long as what identifies a session, or longer
	if err := b.save(answer, r, sessionRecord{data: record, life: time.Minute, isNew: true}); err != nil {
		return err
	}
	found := false
	err = b.each(answer, r, func(s stored) error { found = found || b.opens(s); return nil })
	if err == nil && !found {
		err = storeFailed("try session store", errors.New("the store has lost a session that was just saved"))
	}
	return cmp.Or(err, b.delete(answer, r))
}

// addCookies lists the cookies that this Auth sets.
func (d *Diagnosis) addCookies(a *Auth, g *registry) {
	addTo := func(jar cookie.Jar, name, use string, life time.Duration) {
		out := http.Header{}
		jar.Set(out, name, "", life)
		attributes := slices.DeleteFunc(strings.Split(out.Get("Set-Cookie"), "; ")[1:], func(s string) bool { return strings.HasPrefix(s, "Max-Age") })
		d.Cookies = append(d.Cookies, CookieDiagnosis{Name: name, Use: use, Attributes: strings.Join(attributes, "; "), Life: life})
	}
	add := func(name, use string, life time.Duration) { addTo(a.loginStates.jar, name, use, life) }
	idle := a.cfg.IdleTimeout
	switch b := g.sessions.backend.(type) {
	case *cookieBackend:
		add(b.name, "the session, renewed with use for up to "+printable.Duration(a.cfg.Lifetime), idle)
		add(b.second, "the second part of a session that does not fit into one cookie", idle)
	case *storeBackend:
		add(b.name, "the session id in Options.Sessions, renewed with use for up to "+printable.Duration(a.cfg.Lifetime), idle)
		add(b.bindingName(), "the key of the session there", idle)
	}
	add(a.loginStates.prefix+"*", "a sign-in in progress", a.loginStates.life)
	add(a.loginStates.failed.name, "the sign-in that failed last, for its error message", a.loginStates.failed.life)
	for _, name := range g.order {
		if g.clients[name].provider.ResponseMode == "form_post" {
			add(a.formPosts.prefix+"*", "a form_post response of a provider", a.formPosts.life)
			break
		}
	}
	add(a.logouts.name, "the return path of a sign-out at the provider", a.logouts.life)
	for _, name := range g.order {
		if g.clients[name].mayHint() {
			addTo(a.idTokenHints.jar, a.idTokenHints.name, "the ID token for the sign-out at the provider", a.idTokenHints.life)
			break
		}
	}
	if len(g.order) > 1 {
		add(a.lastProvider.name, "the provider used last", a.lastProvider.life)
	}
	add(a.loops.name, "the number of recent sign-ins, to stop loops", a.loops.life)
}
