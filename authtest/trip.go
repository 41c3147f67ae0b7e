package authtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

const (
	maxRedirects = 20
	maxPage      = 16 << 20
)

// trip is one navigation or fetch with all its redirects. Its initiator determines cookies and
// headers of all its requests.
type trip struct {
	from   *Page // nil if the user typed the address
	method string
	url    *url.URL
	header http.Header
	body   []byte
	mode   string // navigate, cors or no-cors
	dest   string // document, iframe or empty
	user   bool   // the user typed or clicked
	open   bool   // redirects are not followed
	form   bool   // begun by a form, so that the page's form-action applies
	policy string // the referrer policy
	chain  []*url.URL
	hops   []Hop
}

// navigation returns a trip to a URL that the user typed or, if from is a page, that the page
// links to.
func navigation(from *Page, href string) (*trip, error) {
	t := &trip{from: from, method: http.MethodGet, mode: "navigate", dest: "document", user: true, policy: defaultReferrerPolicy}
	var base *url.URL
	if from != nil {
		base, t.policy = from.URL, referrerPolicy(from.Header, t.policy)
	}
	u, err := resolveURL(base, href)
	if err != nil {
		return nil, err
	}
	t.url, t.chain = u, []*url.URL{u}
	return t, nil
}

// post makes the trip a POST of a form.
func (t *trip) post(form url.Values) *trip {
	t.method, t.body, t.form = http.MethodPost, []byte(form.Encode()), true
	t.header = http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}
	return t
}

// run sends the requests of a trip until its end, or until it is open or StopAt returns true.
func (b *Browser) run(t *trip) (*Page, error) {
	for {
		if err := t.allowed(); err != nil {
			return nil, err
		}
		p, err := b.send(t)
		if err != nil {
			return nil, err
		}
		p.URL = t.url
		p.Hops = append(slices.Clip(t.hops), p.Hops...)
		next, err := t.redirected(p)
		if err != nil {
			return nil, err
		}
		if next == nil && !t.open {
			next, err = t.submitted(p)
			if next == nil || err != nil {
				return p, err
			}
		}
		if p.next = next; next == nil || t.open || b.StopAt != nil && b.StopAt(next.url) {
			return p, nil
		}
		if len(next.hops) > maxRedirects {
			return nil, fmt.Errorf("authtest: more than %d redirects, the last one from %s to %s", maxRedirects, t.url, next.url)
		}
		t = next
	}
}

// visit returns the current request of the trip for the cookie rules. As in Chromium, the
// initiator of the trip counts and not the redirects in between.
func (t *trip) visit() visit {
	return visit{
		url:      t.url,
		sameSite: t.from == nil || sameSite(t.from.URL, t.url),
		topLevel: t.mode == "navigate" && t.dest == "document",
		safe:     t.method == http.MethodGet || t.method == http.MethodHead,
	}
}

// redirected returns the trip after a redirect p, or nil if p is not a redirect.
func (t *trip) redirected(p *Page) (*trip, error) {
	location := p.Header.Get("Location")
	switch p.Status {
	case 301, 302, 303, 307, 308:
	default:
		return nil, nil
	}
	if location == "" {
		return nil, nil
	}
	u, err := resolveURL(t.url, location)
	if err != nil {
		return nil, fmt.Errorf("authtest: %s redirects to %q: %w", t.url, location, err)
	}
	if u.Fragment == "" && !strings.Contains(location, "#") {
		u.Fragment, u.RawFragment = t.url.Fragment, t.url.RawFragment
	}
	next := *t
	next.url, next.chain, next.hops = u, append(slices.Clip(t.chain), u), p.Hops
	next.policy = referrerPolicy(p.Header, t.policy)
	toGet := p.Status == 303 && t.method != http.MethodHead || (p.Status == 301 || p.Status == 302) && t.method == http.MethodPost
	if toGet && t.method != http.MethodGet {
		next.method, next.body, next.header = http.MethodGet, nil, t.header.Clone()
		for _, name := range []string{"Content-Type", "Content-Length", "Content-Encoding", "Content-Language"} {
			next.header.Del(name)
		}
	}
	return &next, nil
}

// submitted returns the trip of a form that the page submits automatically, or nil if there is
// no such form.
func (t *trip) submitted(p *Page) (*trip, error) {
	if t.dest != "document" || !strings.HasPrefix(p.Header.Get("Content-Type"), "text/html") {
		return nil, nil
	}
	forms := p.Forms()
	if len(forms) != 1 || !forms[0].submitsItself {
		return nil, nil
	}
	next, err := forms[0].trip(p, nil, nil)
	if err != nil {
		return nil, err
	}
	next.user, next.hops = false, p.Hops
	return next, nil
}

// request returns the current request of the trip.
func (t *trip) request(ctx context.Context) (*http.Request, error) {
	target := *t.url
	target.Fragment, target.RawFragment = "", ""
	var body io.Reader
	if len(t.body) > 0 {
		body = bytes.NewReader(t.body)
	}
	request, err := http.NewRequestWithContext(ctx, t.method, target.String(), body)
	if err != nil {
		return nil, fmt.Errorf("authtest: %w", err)
	}
	h := request.Header
	h.Set("User-Agent", "Mozilla/5.0 (authtest)")
	h.Set("Accept-Language", "en")
	h.Set("Accept", "*/*")
	if t.mode == "navigate" {
		h.Set("Accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8")
		h.Set("Upgrade-Insecure-Requests", "1")
	}
	t.setFetchMetadata(h)
	if t.from != nil {
		if value := referer(t.from.URL, t.url, t.policy); value != "" {
			h.Set("Referer", value)
		}
		if value := t.origin(); value != "" {
			h.Set("Origin", value)
		}
	}
	maps.Copy(h, t.header)
	return request, nil
}

// setFetchMetadata: W3C Fetch Metadata, 2. The headers are sent only to trustworthy URLs.
func (t *trip) setFetchMetadata(h http.Header) {
	if !isTrustworthy(t.url) {
		return
	}
	h.Set("Sec-Fetch-Site", t.site())
	h.Set("Sec-Fetch-Mode", t.mode)
	h.Set("Sec-Fetch-Dest", t.dest)
	if t.user {
		h.Set("Sec-Fetch-User", "?1")
	}
}

// site returns Sec-Fetch-Site: the relation of the initiator to all URLs of the redirect chain.
func (t *trip) site() string {
	if t.from == nil {
		return "none"
	}
	site := "same-origin"
	for _, u := range t.chain {
		if !sameSite(t.from.URL, u) {
			return "cross-site"
		}
		if !sameOrigin(t.from.URL, u) {
			site = "same-site"
		}
	}
	return site
}

// origin returns the Origin header, or "" (Fetch, 3.2).
func (t *trip) origin() string {
	from := t.from.URL
	elsewhere := slices.ContainsFunc(t.chain, func(u *url.URL) bool { return !sameOrigin(from, u) })
	safe := t.method == http.MethodGet || t.method == http.MethodHead
	switch {
	case safe && (t.mode != "cors" || !elsewhere):
		return ""
	case t.tainted(), t.mode != "cors" && hidesOrigin(from, t.url, t.policy):
		return "null"
	}
	return originOf(from)
}

// tainted reports whether an origin other than the initiator's redirected to another origin.
func (t *trip) tainted() bool {
	for i, u := range t.chain[1:] {
		if last := t.chain[i]; !sameOrigin(u, last) && !sameOrigin(t.from.URL, last) {
			return true
		}
	}
	return false
}

// allowed checks a form's trip against the form-action of the page with the form. Chromium does
// so at every redirect.
func (t *trip) allowed() error {
	if !t.form || t.from == nil {
		return nil
	}
	for _, policy := range t.from.Header.Values("Content-Security-Policy") {
		if sources, ok := directive(policy, "form-action"); ok && !matchesSource(sources, t.from.URL, t.url) {
			return fmt.Errorf("authtest: the form-action of %s does not allow its form to lead to %s", t.from.URL, t.url)
		}
	}
	return nil
}

func readBody(r io.Reader) ([]byte, error) {
	body, err := io.ReadAll(io.LimitReader(r, maxPage+1))
	if err == nil && len(body) > maxPage {
		err = errors.New("the page is endless")
	}
	return body, err
}
