// Package visit is people at an application's pages: with a browser that keeps
// cookies and connections and does little else, since many of them have to share
// a machine with what they visit.
package visit

import (
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"
)

// Browser is one person's: cookies of its own, and connections shared with the
// other browsers of a Seat.
type Browser struct {
	client *http.Client
	base   string
}

// Seat is where people come one after the other, and find connections open.
type Seat struct{ transport *http.Transport }

// NewSeat returns one.
func NewSeat() *Seat {
	return &Seat{&http.Transport{MaxIdleConnsPerHost: 2, ResponseHeaderTimeout: 30 * time.Second}}
}

// Close closes its connections.
func (s *Seat) Close() { s.transport.CloseIdleConnections() }

// Browser returns the browser of somebody whom the application at base does not
// know.
func (s *Seat) Browser(base string) (*Browser, error) {
	jar, err := cookiejar.New(nil)
	if err != nil {
		return nil, err
	}
	return &Browser{&http.Client{Transport: s.transport, Jar: jar, Timeout: time.Minute}, base}, nil
}

// Open loads a page, whatever leads there, and returns its text.
func (b *Browser) Open(path string) (status int, text string, err error) {
	r, err := http.NewRequest(http.MethodGet, b.base+path, nil)
	if err != nil {
		return 0, "", err
	}
	r.Header.Set("Accept", "text/html")
	return b.do(r)
}

// Post sends a form from a page of the application.
func (b *Browser) Post(path string, form url.Values) (status int, text string, err error) {
	r, err := http.NewRequest(http.MethodPost, b.base+path, strings.NewReader(form.Encode()))
	if err != nil {
		return 0, "", err
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Origin", b.base)
	return b.do(r)
}

func (b *Browser) do(r *http.Request) (status int, text string, err error) {
	answer, err := b.client.Do(r)
	if err != nil {
		return 0, "", err
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	return answer.StatusCode, string(body), err
}

// SignIn makes a whole sign-in, which must end at a page that has want in it.
func (b *Browser) SignIn(path, want string) (text string, err error) {
	status, text, err := b.Open(path)
	if err == nil && (status != http.StatusOK || !strings.Contains(text, want)) {
		err = fmt.Errorf("the sign-in ended with %d: %.200s", status, text)
	}
	return text, err
}

// Cookies is the Cookie header that the browser sends to the application.
func (b *Browser) Cookies() string {
	u, err := url.Parse(b.base)
	if err != nil {
		return ""
	}
	var pairs []string
	for _, c := range b.client.Jar.Cookies(u) {
		pairs = append(pairs, c.Name+"="+c.Value)
	}
	return strings.Join(pairs, "; ")
}

// Await waits until the application answers.
func Await(base string) error {
	var err error
	for range 200 {
		var answer *http.Response
		if answer, err = http.Get(base + "/"); err == nil {
			return answer.Body.Close()
		}
		time.Sleep(50 * time.Millisecond)
	}
	return err
}

// Peak is how much memory a process had at most, in MB.
func Peak(pid int) (float64, error) { return memory(pid, "VmHWM:") }

// Resident is how much it has now, in MB.
func Resident(pid int) (float64, error) { return memory(pid, "VmRSS:") }

func memory(pid int, line string) (float64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	_, rest, _ := strings.Cut(string(text), line)
	fields := strings.Fields(rest)
	if len(fields) == 0 {
		return 0, fmt.Errorf("the status of process %d has no %s", pid, line)
	}
	kb, err := strconv.ParseFloat(fields[0], 64)
	return kb / 1000, err
}
