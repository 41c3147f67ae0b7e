package rp

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/ginauth/ginauth/internal/contain"
	"github.com/ginauth/ginauth/internal/fetch"
	"github.com/ginauth/ginauth/internal/printable"
	"github.com/ginauth/ginauth/internal/strictjson"
	"github.com/ginauth/ginauth/internal/weburl"
)

// diagnoseWait is how long Diagnose waits for ClientSecretFunc.
const diagnoseWait = 10 * time.Second

// clockNoted is how far the provider's clock may be off before Diagnose reports it. From Leeway on,
// ID tokens are rejected.
const clockNoted = 10 * time.Second

// Report is what Diagnose found.
type Report struct {
	Problems, Warnings []*Error
	Endpoints          map[string]string   // in use, by their names in the metadata, without queries
	Offered            map[string][]string // the capabilities in the metadata, by member
	AuthMethod         string
	RequiresIss        bool           // responses must have an iss (RFC 9207)
	Algorithms         []string       // accepted signature algorithms of ID tokens
	Keys               map[string]int // usable keys by algorithm; nil if unknown
	ClockAhead         time.Duration  // of the provider's clock
	ClockTolerance     time.Duration  // of ClockAhead; 0 if no response had a Date
	Returns            bool           // the provider may redirect back here after a sign-out
	JWKS               []byte         // to register at the provider; nil without a PrivateKey
}

// Diagnose examines the provider: it fetches the metadata and the keys, probes the endpoints that
// sign-ins use, and tries ClientSecretFunc and PrivateKey. It does not change the cached state.
func (c *Client) Diagnose(ctx context.Context) *Report {
	x := &examination{c: c}
	ctx = context.WithValue(ctx, unwatched{}, true)
	// The requests come first: the comparisons use their results.
	x.discover(ctx)
	x.inquire(ctx)
	x.compareKeys()
	x.compareClock()
	x.compareOffer()
	x.Endpoints, x.Offered, x.AuthMethod, x.Returns = x.endpoints(), x.offered(), c.cfg.AuthMethod, c.returns(x.meta)
	x.JWKS = c.jwks(x.meta)
	if x.meta != nil {
		x.AuthMethod, x.RequiresIss = x.meta.authMethod, x.meta.issParam
	}
	if x.meta != nil && c.openID() {
		x.Algorithms = slices.Clone(x.meta.idTokenAlgs)
	}
	return &x.Report
}

// examination is the state of Diagnose.
type examination struct {
	Report
	c    *Client
	doc  map[string]any // the discovery document, or nil
	meta *metadata      // that a sign-in would use, or nil

	passed []passedKey // unusable keys
}

// fail adds a problem, or each of the problems that are joined in one error.
func (x *examination) fail(err error) {
	if several, ok := err.(interface{ Unwrap() []error }); ok {
		for _, err := range several.Unwrap() {
			x.fail(err)
		}
	} else if err != nil {
		x.Problems = append(x.Problems, x.c.about(err, ProviderMisconfigured, ""))
	}
}

func (x *examination) warn(op, id, reason, fix string) {
	x.Warnings = append(x.Warnings, x.c.misconfigured(op, id, reason, fix))
}

// inquiry is one request to a provider.
type inquiry struct {
	op       string
	ask      func(context.Context) (http.Header, error)
	optional bool // sign-ins may work even if this request fails
}

// outcome is the result of an inquiry.
type outcome struct {
	err              error
	ahead, tolerance time.Duration
}

// run makes the request, and reads the provider's clock from the response.
func (q *inquiry) run(ctx context.Context, c *Client) (o outcome) {
	start := time.Now()
	header, err := contain.Call(func() (http.Header, error) { return q.ask(ctx) })
	took := time.Since(start)
	if _, told := errors.AsType[*Error](err); err != nil && !told {
		err = c.unreachable(q.op, err)
	}
	o.err = err
	if date, ok := dateOf(header); ok {
		// RFC 9110, 6.6.1: Date is "the date and time at which the message was originated", in
		// whole seconds. The best estimate is the middle of the request.
		o.ahead = date.Add(time.Second / 2).Sub(c.cfg.Now().Add(-took / 2))
		o.tolerance = (took + time.Second) / 2
	}
	return o
}

// dateOf returns the time by the clock of the server that responded. A cache in between keeps the
// old Date, and says in Age how long ago that was (RFC 9111, 5.1).
func dateOf(h http.Header) (time.Time, bool) {
	date, err := http.ParseTime(h.Get("Date"))
	age, _ := strconv.ParseUint(h.Get("Age"), 10, 31)
	return date.Add(time.Duration(age) * time.Second), err == nil
}

// record adds the result of an inquiry. Of several readings of the clock, the most precise counts.
func (x *examination) record(q *inquiry, o outcome) {
	if o.tolerance > 0 && (x.ClockTolerance == 0 || o.tolerance < x.ClockTolerance) {
		x.ClockAhead, x.ClockTolerance = o.ahead, o.tolerance
	}
	if e, ok := errors.AsType[*Error](o.err); ok && q.optional {
		x.Warnings = append(x.Warnings, e)
	} else {
		x.fail(o.err)
	}
}

// discover does what Client.fetchMetadata does, and keeps the intermediate results.
func (x *examination) discover(ctx context.Context) {
	c := x.c
	if !c.discovers() {
		x.meta = c.meta.Load()
		return
	}
	var doc map[string]any
	q := &inquiry{op: "discovery", ask: func(ctx context.Context) (header http.Header, err error) {
		doc, header, err = c.fetchDocument(ctx)
		return header, err
	}}
	o := q.run(ctx, c)
	x.record(q, o)
	if o.err != nil {
		return
	}
	// Discovery 1.0, 4.3: "the information that failed to validate MUST NOT be used". The document
	// may be another provider's, and its contents would mislead.
	if _, err := c.checkIssuerOf(doc); err != nil {
		x.fail(err)
		return
	}
	m, err := c.assemble(doc)
	x.doc, x.meta = doc, m
	x.fail(err)
	if m != nil {
		x.Warnings = append(x.Warnings, m.ignored...)
	}
}

// inquire makes the requests that do not depend on each other, concurrently.
func (x *examination) inquire(ctx context.Context) {
	list := x.inquiries()
	outcomes := make([]outcome, len(list))
	var group errgroup.Group
	for i := range list {
		group.Go(func() error { outcomes[i] = list[i].run(ctx, x.c); return nil })
	}
	_ = group.Wait()
	for i := range list {
		x.record(&list[i], outcomes[i])
	}
}

// inquiries returns the requests that inquire makes: one to each endpoint that sign-ins need. The
// provider cannot mistake any of them for a sign-in.
func (x *examination) inquiries() (list []inquiry) {
	c, m := x.c, x.meta
	if m != nil && m.keys != nil {
		list = append(list, inquiry{op: "signing keys", ask: x.countKeys})
	}
	if c.isResourceServer() {
		return list
	}
	if c.cfg.ClientSecretFunc != nil {
		list = append(list, inquiry{op: "client secret", ask: c.trySecret})
	}
	if m == nil {
		return list
	}
	if m.assertionAlg != "" {
		list = append(list, inquiry{op: "client assertion", ask: func(ctx context.Context) (http.Header, error) { return nil, c.tryAssertion(ctx, m) }})
	}
	knock := func(op, method, address string, optional bool) {
		list = append(list, inquiry{op, func(ctx context.Context) (http.Header, error) { return c.knock(ctx, op, method, address) }, optional})
	}
	knock("token endpoint", http.MethodHead, m.tokenURL, false)
	// The HEAD request has no access token. The 401 of RFC 6750, 3.1, shows that the endpoint
	// responds.
	if m.userinfoURL != "" && c.asksUserinfo() {
		knock("userinfo endpoint", http.MethodHead, m.userinfoURL, false)
	}
	// Optional, since only browsers need to reach it: this process may not, in a network of
	// containers. Keycloak logs a HEAD without a client_id as a failed login.
	knock("authorization endpoint", http.MethodOptions, m.authorize.String(), true)
	if c.cfg.Introspect && m.introspection != "" {
		knock("introspection endpoint", http.MethodHead, m.introspection, false)
	}
	return list
}

// trySecret calls ClientSecretFunc and discards the secret. It cannot test whether the provider
// accepts it: RFC 6749 has no request that only authenticates the client, and a request with an
// invented code would be an error in the provider's event log.
func (c *Client) trySecret(ctx context.Context) (http.Header, error) {
	err := contain.Within(ctx, diagnoseWait, func(ctx context.Context) error {
		_, err := c.secret(ctx)
		return err
	})
	if _, ok := err.(*Error); err != nil && !ok {
		e := c.misconfigured("client secret", "token.client_secret_func", "ClientSecretFunc returned no secret", "check its return value")
		e.Cause, err = err, e
	}
	return nil, err
}

// knock checks whether a server responds at an address. RFC 9110, 9.2.1: with safe methods, "the
// client does not request, and does not expect, any state change on the origin server". Any
// status but 502, 503 and 504 counts as a response: many servers do not support HEAD and OPTIONS,
// or have no page there. The query, which may contain a key, is not sent.
func (c *Client) knock(ctx context.Context, op, method, address string) (http.Header, error) {
	address, _, _ = strings.Cut(address, "?")
	req, err := http.NewRequestWithContext(ctx, method, address, http.NoBody)
	if err != nil {
		return nil, c.unreachable(op, fetch.Classify(op, address, err))
	}
	resp, err := c.cfg.HTTP.Do(req)
	if err != nil {
		if e := fetch.Classify(op, address, err); e.Status == 0 { // otherwise a redirect, which is a response
			return nil, c.unreachable(op, e)
		}
		return nil, nil
	}
	_ = resp.Body.Close()
	if unavailableStatus(resp.StatusCode) {
		return nil, c.unreachable(op, fetch.StatusError(op, req.URL.Host, resp.StatusCode))
	}
	return resp.Header, nil
}

// countKeys fetches the signing keys, bypassing the cache. Discovery 1.0, 3: the set at jwks_uri
// "contains the signing key(s) the RP uses to validate signatures from the OP". Without a matching
// key, every sign-in fails, which otherwise shows only at the first one.
func (x *examination) countKeys(ctx context.Context) (http.Header, error) {
	held, err := x.meta.keys.fetch(ctx)
	if err != nil {
		return nil, x.c.unreachable("signing keys", err)
	}
	x.Keys, x.passed = map[string]int{}, held.passed
	for _, alg := range x.meta.idTokenAlgs {
		for i := range held.keys {
			if fits(&held.keys[i], alg) {
				x.Keys[alg]++
			}
		}
	}
	return nil, nil
}

// passedOverNoted is the maximum number of unusable keys that are reported.
const passedOverNoted = 5

// compareKeys reports a problem if no key can verify ID tokens, and otherwise warns of unusable
// keys: RFC 7517, 5, lets a client ignore such keys silently, and no log would say why the tokens
// that they sign are rejected.
func (x *examination) compareKeys() {
	var unusable []string
	for _, key := range x.passed {
		if !key.other && len(unusable) < passedOverNoted {
			unusable = append(unusable, fmt.Sprintf("the published key %q is unusable: %s", printable.Clip(key.kid), key.why))
		}
	}
	// With HS256 the client secret is the key (Core, 3.1.3.7 (8)), so LINE publishes no key.
	if x.Keys != nil && len(x.Keys) == 0 && !x.c.cfg.Quirks.HS256 {
		e := x.c.misconfigured("signing keys", "diagnose.keys", "no published key matches the ID token algorithms "+strings.Join(x.meta.idTokenAlgs, ", "),
			"have the provider publish its signing keys at jwks_uri, RSA keys with 2048 bits or more")
		if len(unusable) > 0 {
			e.Cause = errors.New(strings.Join(unusable, "; "))
		}
		x.fail(e)
		return
	}
	for _, reason := range unusable {
		x.warn("signing keys", "diagnose.key_unusable", reason, "ignore this if the provider does not sign ID tokens with the key; otherwise "+unusableKeyFix)
	}
}

// compareClock reports a wrong clock. The times in an ID token are compared with our clock: RFC
// 7519, 4.1.4, permits "some small leeway, usually no more than a few minutes, to account for
// clock skew", and beyond it every sign-in fails. Plain OAuth 2.0 has no times to compare.
func (x *examination) compareClock() {
	off := x.ClockAhead.Abs() - x.ClockTolerance
	if x.ClockTolerance == 0 || !x.c.openID() || off <= clockNoted {
		return
	}
	reason := "the provider's clock is " + ClockText(x.ClockAhead, x.ClockTolerance)
	if off > Leeway {
		x.fail(x.c.misconfigured("clock", "diagnose.clock", fmt.Sprintf("%s: ID tokens are rejected from %s on", reason, printable.Duration(Leeway)), clockFix))
	} else {
		x.warn("clock", "diagnose.clock", reason, clockFix)
	}
}

// ClockText compares the provider's clock with this machine's, in words.
func ClockText(ahead, tolerance time.Duration) string {
	give := ", +/- " + printable.Duration((tolerance + time.Second - 1).Truncate(time.Second))
	switch off := printable.Duration(ahead.Abs().Round(time.Second)); {
	case tolerance == 0:
		return "unknown: no response had a Date header"
	case ahead.Abs() <= tolerance:
		return "the same as this machine's" + give
	case ahead > 0:
		return off + " ahead of this machine's" + give
	default:
		return off + " behind this machine's" + give
	}
}

// compareOffer compares the configuration with the capabilities in the metadata. Differences are
// warnings, since a provider may support more than it lists. Discovery 1.0, 3: "Servers MAY choose
// not to advertise some supported scope values even when this parameter is used".
func (x *examination) compareOffer() {
	cfg := &x.c.cfg
	if x.c.isResourceServer() {
		return
	}
	if cfg.Introspect && x.meta != nil && x.meta.introspection == "" {
		x.fail(x.c.noIntrospection("introspection endpoint"))
	}
	// An absent member is no reason for a warning: response_modes_supported and
	// token_endpoint_auth_methods_supported have defaults, scopes_supported is RECOMMENDED.
	lacks := func(name, value string) bool {
		offered := strictjson.Strings(x.doc[name])
		return len(offered) > 0 && !slices.Contains(offered, value)
	}
	// RFC 8414, 2, of code_challenge_methods_supported: "If omitted, the authorization server
	// does not support PKCE." Many servers that support it omit the list, which OpenID Connect
	// Discovery does not define: only a list without S256 is worth a warning.
	offersPKCE := slices.Contains(strictjson.Strings(x.doc["code_challenge_methods_supported"]), "S256")
	for _, w := range []struct {
		is              bool
		id, reason, fix string
	}{
		{!cfg.Quirks.DisablePKCE && lacks("code_challenge_methods_supported", "S256"), "diagnose.pkce_not_offered", "the provider's metadata does not list PKCE with S256, which is used anyway",
			"set Quirks.DisablePKCE if sign-ins fail at the provider"},
		{cfg.Quirks.DisablePKCE && offersPKCE, "diagnose.pkce_disabled", "the provider supports PKCE with S256, but Quirks.DisablePKCE is set", "remove Quirks.DisablePKCE"},
		{cfg.AuthMethod != "" && lacks("token_endpoint_auth_methods_supported", cfg.AuthMethod), "diagnose.auth_method", fmt.Sprintf("the provider's metadata does not list the AuthMethod %q", cfg.AuthMethod),
			map[bool]string{false: "remove AuthMethod, which is then chosen from the metadata", true: "ignore this if sign-ins work, since some providers accept public clients without listing it (dex); otherwise register a client with a secret"}[cfg.AuthMethod == "none"]},
		{lacks("response_modes_supported", cfg.ResponseMode), "diagnose.response_mode", fmt.Sprintf("the provider's metadata does not list the ResponseMode %q", cfg.ResponseMode), "use another ResponseMode"},
		{lacks("response_types_supported", "code"), "diagnose.response_type", "the provider's metadata does not list the response type code, which is used", "allow the authorization code flow for this client"},
	} {
		if w.is {
			x.warn("metadata", w.id, w.reason, w.fix)
		}
	}
	if x.meta != nil && !cfg.Development && weburl.IsLoopback(x.meta.authorize.Hostname()) {
		x.warn("authorization endpoint", "diagnose.loopback", "is at "+x.meta.authorize.Hostname()+", which browsers of other machines cannot reach", "set the provider's public address")
	}
	if e := x.c.unannounced(x.meta); e != nil {
		x.Warnings = append(x.Warnings, e)
	}
	for _, scope := range cfg.Scopes {
		if lacks("scopes_supported", scope) {
			x.warn("metadata", "diagnose.scope", fmt.Sprintf("the provider's metadata does not list the scope %q", scope), "remove it from Scopes if the provider rejects it")
		}
	}
}

// offers are the members of the metadata with a provider's capabilities: Discovery 1.0, section 3;
// RFC 8414 (code_challenge_methods_supported); RFC 9207, section 3 (iss); Back-Channel Logout 1.0,
// 2.1; Front-Channel Logout 1.0.
var offers = []string{
	"response_types_supported", "response_modes_supported", "scopes_supported", "code_challenge_methods_supported",
	"id_token_signing_alg_values_supported", "token_endpoint_auth_methods_supported", "authorization_response_iss_parameter_supported",
	"backchannel_logout_supported", "backchannel_logout_session_supported", "frontchannel_logout_supported", "frontchannel_logout_session_supported",
}

// offered returns the values of offers in the metadata in printable form, at most 50 of each.
func (x *examination) offered() map[string][]string {
	var all map[string][]string
	for _, name := range offers {
		var list []string
		for _, value := range strictjson.Strings(x.doc[name]) {
			if len(list) < 50 {
				list = append(list, printable.ASCII(value))
			}
		}
		if is, ok := x.doc[name].(bool); ok {
			list = []string{fmt.Sprint(is)}
		}
		if len(list) > 0 {
			if all == nil {
				all = map[string][]string{}
			}
			all[name] = list
		}
	}
	return all
}

// endpoints returns the endpoints in use by their names in the metadata, without their queries. RFC
// 6749, 3.1, permits a query, and it may contain the key of an API gateway.
func (x *examination) endpoints() map[string]string {
	if x.meta == nil {
		return nil
	}
	all := map[string]string{}
	add := func(name, address string) {
		if u, err := url.Parse(address); err == nil && address != "" {
			all[name] = printable.ASCII((&url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path, RawPath: u.RawPath}).String())
		}
	}
	if x.meta.keys != nil {
		add("jwks_uri", x.meta.keys.url)
	}
	if x.c.isResourceServer() {
		return all
	}
	add("authorization_endpoint", x.meta.authorize.String())
	add("token_endpoint", x.meta.tokenURL)
	add("userinfo_endpoint", x.meta.userinfoURL)
	add("end_session_endpoint", x.meta.endSession)
	if x.c.cfg.Introspect {
		add("introspection_endpoint", x.meta.introspection)
	}
	return all
}
