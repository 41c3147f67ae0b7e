package ginauth

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/ginauth/ginauth/internal/contain"
	"github.com/ginauth/ginauth/internal/printable"
)

const (
	diagnoseMost = 16               // providers that are examined at a time
	diagnoseWait = 10 * time.Second // for a function of the application's, or a store
)

// Diagnosis is what Diagnose found. It prints as text for a terminal, and as
// JSON for a health page. It has no secrets, but names hosts: show it to those
// who run the application.
type Diagnosis struct {
	BaseURL string `json:"base_url"`

	// Problems keep people from signing in, or will. Each has a Reason, and a
	// Fix if there is something to do about it here. Empty means that all is well.
	Problems []*Error `json:"problems"`

	// Warnings are about what works, and may not be meant.
	Warnings []*Error `json:"warnings"`

	// Providers are in the order of Options.Providers.
	Providers []struct {
		Name   string `json:"name"`
		Issuer string `json:"issuer,omitempty"`

		// Reachable says that what signing in asks from this machine answered:
		// metadata, signing keys, the token and the userinfo endpoint.
		Reachable bool `json:"reachable"`

		// What to register at the provider, to the letter; "" where there is
		// nothing to register.
		RedirectURI           string `json:"redirect_uri"`
		PostLogoutRedirectURI string `json:"post_logout_redirect_uri,omitempty"`
		BackChannelLogoutURI  string `json:"backchannel_logout_uri,omitempty"`
		FrontChannelLogoutURI string `json:"frontchannel_logout_uri,omitempty"`

		// Endpoints are those in use, written down or discovered, without their
		// queries; Offered is what the metadata says can be used. Both go by
		// the names of OpenID Connect Discovery 1.0, section 3. Without
		// metadata they are empty.
		Endpoints map[string]string   `json:"endpoints,omitempty"`
		Offered   map[string][]string `json:"offered,omitempty"`

		// What a sign-in uses of that.
		Scopes       []string       `json:"scopes,omitempty"`
		AuthMethod   string         `json:"token_endpoint_auth_method,omitempty"`
		ResponseMode string         `json:"response_mode"`
		PKCE         string         `json:"code_challenge_method,omitempty"`
		RequiresIss  bool           `json:"iss_required"`           // in answers: RFC 9207
		Algorithms   []string       `json:"algorithms,omitempty"`   // that ID tokens may be signed with
		Keys         map[string]int `json:"signing_keys,omitempty"` // published ones that fit, by algorithm

		// ClockAhead is how far the provider's clock is ahead of this machine's,
		// give or take ClockTolerance: half the time that its answer took, and
		// half the second in which its Date header counts. A tolerance of 0
		// means that no answer had one.
		ClockAhead     time.Duration `json:"clock_ahead_ns"`
		ClockTolerance time.Duration `json:"clock_tolerance_ns"`
	} `json:"providers"`

	// Cookies are all that are set. A * in a name stands for what differs from
	// one to the next; Life is how long browsers keep it (Max-Age).
	Cookies []struct {
		Name       string        `json:"name"`
		Use        string        `json:"use"`
		Attributes string        `json:"attributes"`
		Life       time.Duration `json:"life_ns"`
	} `json:"cookies"`
}

// Diagnose asks every provider anew, and the stores, and says what is wrong and
// what to register where. Nothing is signed in, no secret and no code is sent,
// and sign-ins under way do not notice: what is known of a provider stays
// known, and no failure counts against it.
//
// Of a provider it gets the metadata and the signing keys, and asks the other
// endpoints whether somebody answers (HEAD, without a query). ClientSecretFunc
// is called. Options.Revocations is read, and in Options.Sessions a record is
// written, read and deleted. With 16 providers or fewer that takes 20 seconds
// at most, or as long as ctx lets it.
//
// It is for a terminal, a test and an operator's page. For a probe that is sent
// every few seconds, use Warm.
func (a *Auth) Diagnose(ctx context.Context) *Diagnosis {
	d := &Diagnosis{BaseURL: a.cfg.BaseURL, Problems: []*Error{}, Warnings: a.remarks()}
	exams := make([]*exam, len(a.order))
	var stores [2]error
	var tries, group errgroup.Group
	tries.Go(func() error { stores[0] = a.askRevocations(ctx); return nil })
	tries.Go(func() error { stores[1] = a.askSessions(ctx); return nil })
	group.SetLimit(diagnoseMost)
	for i, name := range a.order {
		exams[i] = &exam{client: a.clients[name]}
		group.Go(func() error { exams[i].run(ctx); return nil })
	}
	_, _ = tries.Wait(), group.Wait() // which have nothing to say themselves
	for _, err := range stores {
		if err != nil {
			d.Problems = append(d.Problems, asError(err, ErrStoreUnavailable))
		}
	}
	for _, x := range exams {
		d.Problems, d.Warnings = append(d.Problems, x.problems...), append(d.Warnings, x.warnings...)
	}
	d.addProviders(exams)
	d.addCookies(a)
	return d
}

// Remarks are about Options that work, and may not be meant. Mount logs them too.
const (
	memoryRemark   = "sign-outs are remembered in this process's memory: lost at a restart, and not shared between replicas"
	memstoreRemark = "is a memstore, which keeps sessions in this process's memory: lost at a restart, and not shared between replicas"
	memstoreFix    = "leave the option out to keep them in a sealed cookie, or take a store with a server behind it"
	keyMadeRemark  = "a random key was made, which is fine for development; sign-ins end with this process, and no other replica can finish them"
)

func (a *Auth) remarks() []*Error {
	list := []*Error{}
	remark := func(is bool, where, reason, fix string) {
		if is {
			list = append(list, &Error{Code: ErrInvalidOptions, Op: where, Reason: reason, Fix: fix})
		}
	}
	remark(!a.cfg.secure, "Options.BaseURL", "is http: cookies are neither Secure nor __Host-, which is for development alone", "write https where other people sign in")
	remark(a.cfg.keyMade, "Options.Keys", "is empty: "+keyMadeRemark, "make one with: openssl rand -hex 32")
	remark(a.remembersHere() && !a.cfg.loopback, "Options.Revocations", memoryRemark, "with several replicas, set Options.Revocations to share them")
	remark(keptInMemory(a.cfg.Sessions) && !a.cfg.loopback, "Options.Sessions", memstoreRemark, memstoreFix)
	return list
}

// remembersHere says that revocations are in this process's memory.
func (a *Auth) remembersHere() bool {
	_, memory := a.cfg.Revocations.(*memoryRevocations)
	return memory
}

// askRevocations reads the marks of a session that never was.
func (a *Auth) askRevocations(ctx context.Context) error {
	nobody := (&session{id: rand.Text()[:sessionIDSize], user: new(User)}).keys()
	err := contain.Within(ctx, diagnoseWait, func(ctx context.Context) error {
		_, err := a.cfg.watermarks(ctx, nobody)
		return err
	})
	if _, told := errors.AsType[*Error](err); err != nil && !told {
		err = storeUnavailable("read revocations", err)
	}
	return err
}

// askSessions keeps a record in Options.Sessions for a moment. A read alone
// would show nothing: without a cookie of theirs, stores do not look.
func (a *Auth) askSessions(ctx context.Context) error {
	home, ok := a.sessions.home.(*storeHome)
	if !ok {
		return nil
	}
	err := contain.Within(ctx, diagnoseWait, home.try)
	if _, told := errors.AsType[*Error](err); err != nil && !told {
		err = storeFailed("try session store", err)
	}
	return err
}

// try keeps a record in the store, reads it back, and deletes it. No browser
// gets its cookies, and if one did: it is of no version, and so is no session.
func (h *storeHome) try(ctx context.Context) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "/", http.NoBody)
	if err != nil {
		return err
	}
	answer := discard{}
	record := []byte("\x00" + rand.Text()) // as long as what identifies a session, or longer
	if err := h.create(answer, r, record, time.Minute); err != nil {
		return err
	}
	found := false
	err = h.each(answer, r, func(s stored) error { found = found || h.opens(s); return nil })
	if err == nil && !found {
		err = storeFailed("try session store", errors.New("the store has lost what it was given a moment ago"))
	}
	return cmp.Or(err, h.clear(answer, r))
}

// addCookies asks those who set them.
func (d *Diagnosis) addCookies(a *Auth) {
	add := func(name, use string, life time.Duration) {
		out := http.Header{}
		a.attempts.jar.Set(out, name, "", life)
		attributes := slices.DeleteFunc(strings.Split(out.Get("Set-Cookie"), "; ")[1:], func(s string) bool { return strings.HasPrefix(s, "Max-Age") })
		d.Cookies = slices.Grow(d.Cookies, 1)[:len(d.Cookies)+1]
		c := &d.Cookies[len(d.Cookies)-1]
		c.Name, c.Use, c.Attributes, c.Life = name, use, strings.Join(attributes, "; "), life
	}
	idle := a.cfg.IdleTimeout
	switch home := a.sessions.home.(type) {
	case *cookieHome:
		add(home.name, "the session, renewed with use for "+printable.Duration(a.cfg.Lifetime), idle)
		add(home.second, "the rest of a session that is too long for one", idle)
	case *storeHome:
		add(home.name, "the session's place in Options.Sessions, renewed with use for "+printable.Duration(a.cfg.Lifetime), idle)
		add(home.bindingName(), "what opens the session there", idle)
	}
	add(a.attempts.prefix+"*", "a sign-in under way", attemptLife)
	add(a.attempts.failed, "which sign-in has failed, for a message", attemptLife)
	for _, name := range a.order {
		if a.clients[name].provider.ResponseMode == "form_post" {
			add(a.carrier.prefix+"*", "a provider's answer that came as a form", carryLife)
			break
		}
	}
	add(a.logouts.name, "where a sign-out at the provider comes back to", logoutLife)
	if len(a.order) > 1 {
		add(a.last.cookie, "the provider of the last time", lastLife)
	}
	add(a.loops.cookie, "counts sign-ins, to stop a loop", loopWindow)
}
