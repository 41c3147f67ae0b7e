package ginauth

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/ginauth/ginauth/internal/contain"
	"github.com/ginauth/ginauth/internal/fetch"
)

// exam is the examination of one provider. It makes the requests that the live
// client makes, and keeps to itself what comes of them.
type exam struct {
	client *client
	doc    map[string]any // the metadata, or nil
	meta   *metadata      // what a sign-in would use, or nil
	keys   map[string]int // usable ones by algorithm; nil if they are not known

	ahead, tolerance time.Duration // of the clock; no tolerance: not known

	problems, warnings []*Error
}

func (x *exam) run(ctx context.Context) {
	x.discover(ctx)
	x.inquire(ctx)
	x.compareKeys()
	x.compareClock()
	x.compareOffer()
}

// fail adds a problem, or those that were joined to one error.
func (x *exam) fail(err error) {
	if several, ok := err.(interface{ Unwrap() []error }); ok {
		for _, err := range several.Unwrap() {
			x.fail(err)
		}
	} else if err != nil {
		x.problems = append(x.problems, asError(err, ErrProviderMisconfigured))
	}
}

func (x *exam) warn(op, reason, fix string) {
	x.warnings = append(x.warnings, &Error{Code: ErrProviderMisconfigured, Op: op, Provider: x.client.provider.Name, Reason: reason, Fix: fix})
}

// inquiry is one request to a provider.
type inquiry struct {
	op  string
	ask func(context.Context) (http.Header, error)
	// optional says that a sign-in may work although nobody answers here.
	optional bool
}

// outcome is what came of an inquiry.
type outcome struct {
	err              error
	ahead, tolerance time.Duration
}

// run makes the request, and reads the provider's clock from the answer.
func (q *inquiry) run(ctx context.Context, c *client) (o outcome) {
	start := time.Now()
	header, err := contain.Call(func() (http.Header, error) { return q.ask(ctx) })
	took := time.Since(start)
	if _, told := errors.AsType[*Error](err); err != nil && !told {
		err = c.unreachable(q.op, err)
	}
	o.err = err
	if date, ok := dateOf(header); ok {
		// The header leaves out what is less than a second.
		o.ahead = date.Add(time.Second / 2).Sub(c.cfg.Now().Add(-took / 2))
		o.tolerance = (took + time.Second) / 2
	}
	return o
}

// dateOf is the time on the clock of whoever answered. A cache in between keeps
// the Date of old, and says in Age how long ago that was (RFC 9111, 5.1).
func dateOf(h http.Header) (time.Time, bool) {
	date, err := http.ParseTime(h.Get("Date"))
	age, _ := strconv.ParseUint(h.Get("Age"), 10, 31)
	return date.Add(time.Duration(age) * time.Second), err == nil
}

// note adds what came of an inquiry. Of several clocks the one counts that is
// known best.
func (x *exam) note(q *inquiry, o outcome) {
	if o.tolerance > 0 && (x.tolerance == 0 || o.tolerance < x.tolerance) {
		x.ahead, x.tolerance = o.ahead, o.tolerance
	}
	if e, ok := errors.AsType[*Error](o.err); ok && q.optional {
		x.warnings = append(x.warnings, e)
	} else {
		x.fail(o.err)
	}
}

// discover does what client.fetchMetadata does, and keeps what it sees on the way.
func (x *exam) discover(ctx context.Context) {
	c := x.client
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
	x.note(q, o)
	if o.err != nil {
		return
	}
	if _, err := c.checkMetadata(doc); err != nil { // it may be somebody else's: not looked at
		x.fail(err)
		return
	}
	m, err := c.assemble(doc)
	x.doc, x.meta = doc, m
	x.fail(err)
}

// inquire makes the requests that do not need each other's answers.
func (x *exam) inquire(ctx context.Context) {
	list := x.inquiries()
	outcomes := make([]outcome, len(list))
	var group errgroup.Group
	for i := range list {
		group.Go(func() error { outcomes[i] = list[i].run(ctx, x.client); return nil })
	}
	_ = group.Wait()
	for i := range list {
		x.note(&list[i], outcomes[i])
	}
}

func (x *exam) inquiries() (list []inquiry) {
	c, p, m := x.client, &x.client.provider, x.meta
	if p.ClientSecretFunc != nil {
		list = append(list, inquiry{op: "client secret", ask: c.trySecret})
	}
	if m == nil {
		return list
	}
	knock := func(op, address string, optional bool) {
		list = append(list, inquiry{op, func(ctx context.Context) (http.Header, error) { return c.knock(ctx, op, address) }, optional})
	}
	knock("token endpoint", m.tokenURL, false)
	if m.userinfoURL != "" && p.Userinfo != "never" && p.Profile == nil {
		knock("userinfo endpoint", m.userinfoURL, false)
	}
	// Browsers go there. In a network of containers, we may not be able to.
	knock("authorization endpoint", m.authorize.String(), true)
	if m.keys != nil {
		list = append(list, inquiry{op: "signing keys", ask: x.countKeys})
	}
	return list
}

// trySecret asks ClientSecretFunc for a secret, and forgets it.
func (c *client) trySecret(ctx context.Context) (http.Header, error) {
	err := contain.Within(ctx, diagnoseWait, func(ctx context.Context) error {
		_, err := c.secret(ctx)
		return err
	})
	if _, told := errors.AsType[*Error](err); err != nil && !told {
		e := c.misconfigured("client secret", "ClientSecretFunc gave no secret", "")
		e.Err, err = err, e
	}
	return nil, err
}

// knock asks whether anybody answers at an address. HEAD asks for nothing, and
// whatever comes is an answer: many say that the method, or the page, is none.
// The query, which may have a key in it, stays here.
func (c *client) knock(ctx context.Context, op, address string) (http.Header, error) {
	address, _, _ = strings.Cut(address, "?")
	req, err := http.NewRequestWithContext(ctx, http.MethodHead, address, http.NoBody)
	if err != nil {
		return nil, c.unreachable(op, fetch.Classify(op, address, err))
	}
	resp, err := c.http.Do(req)
	if err != nil {
		if e := fetch.Classify(op, address, err); e.Status == 0 { // else it is a redirect
			return nil, c.unreachable(op, e)
		}
		return nil, nil
	}
	_ = resp.Body.Close()
	switch resp.StatusCode { // a proxy in front of a provider that is down
	case http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return nil, c.unreachable(op, &fetch.Error{Kind: fetch.Status, Op: op, Host: req.URL.Host, Status: resp.StatusCode,
			Detail: fmt.Sprintf("answered %d %s", resp.StatusCode, http.StatusText(resp.StatusCode))})
	}
	return resp.Header, nil
}

// countKeys asks for the signing keys, past those that are held.
func (x *exam) countKeys(ctx context.Context) (http.Header, error) {
	keys, err := x.meta.keys.fetch(ctx)
	if err != nil {
		return nil, x.client.unreachable("signing keys", err)
	}
	x.keys = map[string]int{}
	for _, alg := range x.meta.algs {
		for i := range keys {
			if fits(&keys[i], alg) {
				x.keys[alg]++
			}
		}
	}
	return nil, nil
}
