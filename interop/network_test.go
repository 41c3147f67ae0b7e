package interop

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"sync"
)

// step is a moment of a refresh, as the network sees it.
type step string

const (
	claiming  step = "claiming"  // the claim is on its way to Redis
	rereading step = "rereading" // Redis has made it, and is asked for the tokens once more
	asking    step = "asking"    // the token request is on its way to the provider
	answered  step = "answered"  // the token response is on its way back
	swapping  step = "swapping"  // the new tokens are on their way to Redis
	swapped   step = "swapped"   // Redis has them, and its reply is on the way back
	other     step = "other"
)

// network is what lies between one replica, Redis and the provider.
type network struct {
	redis, provider string // where the replica finds them
	requests        *tokenRequests
	listener        net.Listener
	proxy           *httptest.Server
	target          string // Redis

	mu      sync.Mutex
	cut     bool // Redis is out of reach
	claimed bool // the replica has made a claim, and not read the tokens since
	open    map[net.Conn]bool
	at      step
	act     func() (goOn bool)
}

func newNetwork(redis string, requests *tokenRequests) (*network, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	n := &network{redis: l.Addr().String(), requests: requests, listener: l, target: redis, open: map[net.Conn]bool{}}
	n.proxy = httptest.NewServer(n)
	n.provider = n.proxy.URL
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go n.relay(conn)
		}
	}()
	return n, nil
}

func (n *network) close() {
	n.listener.Close()
	n.cutRedis()
	n.proxy.CloseClientConnections()
	n.proxy.Close()
}

// stopAt has the next such step do something. If that returns false, the step does not
// happen: the connection is closed.
func (n *network) stopAt(at step, act func() bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.at, n.act, n.claimed = at, act, false
}

// pass reports whether a step may happen.
func (n *network) pass(s step) bool {
	n.mu.Lock()
	if n.at != s {
		n.mu.Unlock()
		return true
	}
	act := n.act
	n.at, n.act = "", nil
	n.mu.Unlock()
	return act()
}

// cutRedis refuses connections and ends those that there are, until mendRedis.
func (n *network) cutRedis() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.cut = true
	for c := range n.open {
		c.Close()
	}
	clear(n.open)
}

func (n *network) mendRedis() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.cut = false
}

func (n *network) keep(conns ...net.Conn) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, c := range conns {
		n.open[c] = true
	}
	return !n.cut
}

func (n *network) forget(conns ...net.Conn) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, c := range conns {
		c.Close()
		delete(n.open, c)
	}
}

// relay carries commands to Redis and replies back, one at a time.
func (n *network) relay(near net.Conn) {
	far, err := net.Dial("tcp", n.target)
	if err != nil {
		near.Close()
		return
	}
	defer n.forget(near, far)
	if !n.keep(near, far) {
		return
	}
	commands, replies := bufio.NewReader(near), bufio.NewReader(far)
	for {
		var command, reply respValue
		if command.read(commands) != nil {
			return
		}
		before, after := n.stepsOf(command.words)
		if !n.pass(before) {
			return
		}
		if _, err := far.Write(command.raw); err != nil || reply.read(replies) != nil || !n.pass(after) {
			return
		}
		if _, err := near.Write(reply.raw); err != nil {
			return
		}
	}
}

// stepsOf returns the steps before and after a command of redisstate.
func (n *network) stepsOf(words []string) (before, after step) {
	if len(words) < 2 {
		return other, other
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	switch name := strings.ToLower(words[0]); {
	case name == "set" && strings.Contains(words[1], ":spent:"):
		n.claimed = true
		return claiming, other
	case name == "get" && strings.Contains(words[1], ":tokens:") && n.claimed:
		n.claimed = false
		return rereading, other
	case strings.HasPrefix(name, "eval") && len(words) > 3 && strings.Contains(words[3], ":tokens:"):
		return swapping, swapped
	}
	return other, other
}

// respValue is a command or a reply in Redis's protocol, version 2.
type respValue struct {
	raw   []byte
	words []string // the strings in it
}

func (v *respValue) read(r *bufio.Reader) error {
	line, err := r.ReadBytes('\n')
	if err != nil {
		return err
	}
	v.raw = append(v.raw, line...)
	n, _ := strconv.Atoi(strings.TrimSpace(string(line[1:])))
	switch line[0] {
	case '*':
		for range n {
			if err := v.read(r); err != nil {
				return err
			}
		}
	case '$':
		if n < 0 {
			return nil
		}
		text := make([]byte, n+len("\r\n"))
		if _, err := io.ReadFull(r, text); err != nil {
			return err
		}
		v.raw, v.words = append(v.raw, text...), append(v.words, string(text[:n]))
	case '+', '-', ':':
	default:
		return fmt.Errorf("not version 2 of the protocol: %q", line)
	}
	return nil
}

// tokenRequests are the refreshes that a provider has seen, of one user.
type tokenRequests struct {
	running sync.WaitGroup
	mu      sync.Mutex
	byToken map[string]int // how often each refresh token was used
	all     int
	refused int           // with invalid_grant
	brief   bool          // access tokens of a sign-in last for a second
	latest  string        // refresh token that was issued
	request *http.Request // of a refresh, without its body
	form    url.Values    // its body
}

// add notes a refresh, and what the provider answered.
func (q *tokenRequests) add(r *http.Request, form url.Values, status int, answer []byte) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.all++
	q.byToken[form.Get("refresh_token")]++
	q.request, q.form = r, form
	if refusesGrant(status, answer) {
		q.refused++
	}
}

func refusesGrant(status int, answer []byte) bool {
	return status == http.StatusBadRequest && bytes.Contains(answer, []byte(`"invalid_grant"`))
}

// issued notes the refresh token of a token response.
func (q *tokenRequests) issued(answer []byte) {
	var token struct {
		RefreshToken string `json:"refresh_token"`
	}
	if json.Unmarshal(answer, &token) == nil && token.RefreshToken != "" {
		q.mu.Lock()
		defer q.mu.Unlock()
		q.latest = token.RefreshToken
	}
}

// good reports whether the provider takes the latest refresh token, after all refreshes.
func (q *tokenRequests) good() (bool, error) {
	q.running.Wait()
	q.mu.Lock()
	defer q.mu.Unlock()
	q.form.Set("refresh_token", q.latest)
	resp, answer, err := forward(q.request, []byte(q.form.Encode()))
	switch {
	case err != nil:
		return false, err
	case resp.StatusCode == http.StatusOK:
		return true, nil
	case refusesGrant(resp.StatusCode, answer):
		return false, nil
	}
	return false, fmt.Errorf("the provider answered %d: %s", resp.StatusCode, answer)
}

// most is how often the refresh token was used that was used most.
func (q *tokenRequests) most() (n int) {
	for _, uses := range q.byToken {
		n = max(n, uses)
	}
	return n
}

func (q *tokenRequests) setBrief(brief bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.brief = brief
}

var expiresIn = regexp.MustCompile(`"expires_in":\d+`)

// edit shortens the life of the sign-in's access token, so that nobody has to wait for its end.
func (q *tokenRequests) edit(answer []byte) []byte {
	q.mu.Lock()
	defer q.mu.Unlock()
	if !q.brief {
		return answer
	}
	return expiresIn.ReplaceAll(answer, []byte(`"expires_in":1`))
}

// ServeHTTP carries a request to the provider and the response back, as the replica's proxy.
// The provider gets the whole request even if the replica is gone.
func (n *network) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	form, _ := url.ParseQuery(string(body))
	refreshes := form.Get("grant_type") == "refresh_token"
	done := func() {}
	if refreshes {
		n.requests.running.Add(1)
		done = sync.OnceFunc(n.requests.running.Done)
		defer done()
		if !n.pass(asking) {
			panic(http.ErrAbortHandler)
		}
	}
	resp, answer, err := forward(r, body)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	if form.Has("grant_type") {
		n.requests.issued(answer)
	}
	if refreshes {
		n.requests.add(r, form, resp.StatusCode, answer)
		done()
		if !n.pass(answered) {
			panic(http.ErrAbortHandler)
		}
	} else if form.Get("grant_type") == "authorization_code" {
		answer = n.requests.edit(answer)
	}
	for name, values := range resp.Header {
		w.Header()[name] = values
	}
	w.Header().Del("Content-Length")
	w.WriteHeader(resp.StatusCode)
	_, _ = w.Write(answer)
}

func forward(r *http.Request, body []byte) (*http.Response, []byte, error) {
	out, err := http.NewRequestWithContext(context.WithoutCancel(r.Context()), r.Method, r.URL.String(), bytes.NewReader(body))
	if err != nil {
		return nil, nil, err
	}
	out.Header = r.Header.Clone()
	out.Header.Del("Accept-Encoding")
	resp, err := http.DefaultTransport.RoundTrip(out)
	if err != nil {
		return nil, nil, err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	return resp, answer, err
}
