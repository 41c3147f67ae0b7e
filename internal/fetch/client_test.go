package fetch_test

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"reflect"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ginauth/ginauth/internal/fetch"
)

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func okay(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	io.WriteString(w, `{"ok":true}`)
}

func TestRedirectsAreNotFollowed(t *testing.T) {
	var seen atomic.Int32
	evil := serve(t, func(w http.ResponseWriter, r *http.Request) {
		seen.Add(1)
		okay(w, r)
	})
	follow := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return nil }}
	bases := map[string]*http.Client{
		"our own":       nil,
		"one from base": follow,
		"another kind":  {Transport: roundTripper(http.DefaultTransport.RoundTrip)},
	}
	for name, base := range bases {
		for _, status := range []int{301, 302, 303, 307, 308} {
			for _, method := range []string{"GET", "POST"} {
				t.Run(name+" leaves a "+method+" with a "+strconv.Itoa(status)+" where it is", func(t *testing.T) {
					srv := serve(t, func(w http.ResponseWriter, _ *http.Request) {
						w.Header().Set("Location", evil.URL+"/x?code="+secret)
						w.WriteHeader(status)
					})
					req, err := http.NewRequestWithContext(t.Context(), method, srv.URL, strings.NewReader("code="+secret))
					if err != nil {
						t.Fatal(err)
					}
					_, err = fetch.Client(base, "").Do(req)
					e := wantError(t, fetch.Classify("token endpoint", srv.URL, err), "redirect.host",
						strings.TrimPrefix(evil.URL, "http://"))
					if e.Status != status || seen.Load() != 0 {
						t.Errorf("status %d, %d requests elsewhere", e.Status, seen.Load())
					}
				})
			}
		}
	}
}

func TestRedirectsAreNotFollowedThroughAnotherTransport(t *testing.T) {
	srv := serve(t, func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "/elsewhere", http.StatusFound)
	})
	client := fetch.Client(nil, "")
	client.Transport = http.DefaultTransport
	resp, err := client.Get(srv.URL)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusFound {
		t.Errorf("followed to a %d", resp.StatusCode)
	}
}

func TestRedirectTexts(t *testing.T) {
	tests := []struct{ name, location, id, shown string }{
		{"another path", "/login?code=" + secret, "redirect.path", ""},
		{"another scheme", "https://HOST/", "redirect.scheme", "https"},
		{"a host with a user", "https://ann:" + secret + "@evil.example/", "redirect.host", "evil.example"},
		{"an IPv6 host", "https://[::1]:8443/", "redirect.host", "[::1]:8443"},
		{"an odd scheme", "javascript:" + secret, "redirect.unusable", ""},
		{"an odd host", "https://%0a" + secret + "/", "redirect.unusable", ""},
		{"no address", "https://" + secret + ":x/", "redirect.unusable", ""},
		{"nowhere", "", "redirect.nowhere", "302"},
	}
	for _, tt := range tests {
		t.Run("a redirect to "+tt.name, func(t *testing.T) {
			srv := serve(t, func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Location", strings.Replace(tt.location, "HOST", r.Host, 1))
				w.WriteHeader(http.StatusFound)
			})
			_, err := get(t, nil, srv.URL)
			wantError(t, err, tt.id, tt.shown)
		})
	}
}

func TestRequestsCarryNothingOfTheUsers(t *testing.T) {
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	var got http.Header
	srv := serve(t, func(w http.ResponseWriter, r *http.Request) {
		got = r.Header
		http.SetCookie(w, &http.Cookie{Name: "tracking", Value: "1"})
		okay(w, r)
	})
	address, err := url.Parse(srv.URL)
	if err != nil {
		t.Fatal(err)
	}
	jar.SetCookies(address, []*http.Cookie{{Name: "sid", Value: "1"}})
	client := fetch.Client(&http.Client{Jar: jar}, "ginauth/1")
	for range 2 {
		req, err := http.NewRequestWithContext(t.Context(), "GET", srv.URL, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		req.Header = http.Header{"Cookie": {"a=b"}, "Referer": {"https://app.example/?x"}, "Authorization": {"Bearer t"}, "Accept-Encoding": {"br"}}
		sent := req.Header.Clone()
		resp, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := fetch.Read(resp, "userinfo", fetch.MaxBody); err != nil {
			t.Fatal(err)
		}
		want := http.Header{"Authorization": {"Bearer t"}, "Accept-Encoding": {"gzip"}, "User-Agent": {"ginauth/1"}}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("sent %v", got)
		}
		if !reflect.DeepEqual(req.Header, sent) {
			t.Errorf("the caller's header became %v", req.Header)
		}
	}
	if kept := jar.Cookies(address); len(kept) != 1 {
		t.Errorf("the jar took %v", kept)
	}
}

// An unencoded response may say so.
func TestIdentityIsNoEncoding(t *testing.T) {
	for _, encoding := range []string{"identity", "Identity"} {
		srv := serve(t, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Encoding", encoding)
			okay(w, r)
		})
		if obj, err := get(t, nil, srv.URL); err != nil || obj["ok"] != true {
			t.Errorf("%s: %v, %v", encoding, obj, err)
		}
	}
}

func TestUserAgentOfTheRequestWins(t *testing.T) {
	var got string
	srv := serve(t, func(w http.ResponseWriter, r *http.Request) {
		got = r.UserAgent()
		okay(w, r)
	})
	_, _, err := fetch.JSON(t.Context(), fetch.Client(nil, "ginauth/1"),
		fetch.Request{Op: "profile", URL: srv.URL, Header: http.Header{"User-Agent": {"my-app"}}})
	if err != nil || got != "my-app" {
		t.Errorf("sent %q, %v", got, err)
	}
}

func TestProcessDefaultsDoNotMatter(t *testing.T) {
	transport, client := http.DefaultTransport, *http.DefaultClient
	t.Cleanup(func() { http.DefaultTransport, *http.DefaultClient = transport, client })
	broken := roundTripper(func(*http.Request) (*http.Response, error) { return nil, errors.New("mutated") })
	http.DefaultTransport, http.DefaultClient.Transport = broken, broken

	srv := serve(t, okay)
	for name, base := range map[string]*http.Client{"no base": nil, "an empty base": {}} {
		if obj, err := get(t, base, srv.URL); err != nil || obj["ok"] != true {
			t.Errorf("%s: %v, %v", name, obj, err)
		}
	}
}

func TestBaseIsClonedAndNotChanged(t *testing.T) {
	srv := httptest.NewTLSServer(http.HandlerFunc(okay))
	t.Cleanup(srv.Close)
	transport := srv.Client().Transport.(*http.Transport).Clone()
	transport.TLSClientConfig.InsecureSkipVerify = true
	transport.TLSClientConfig.MinVersion = tls.VersionTLS10
	base := &http.Client{Transport: transport, Timeout: time.Hour}
	client := fetch.Client(base, "")

	if base.Transport != transport || base.Timeout != time.Hour || base.CheckRedirect != nil || base.Jar != nil {
		t.Errorf("base became %#v", base)
	}
	if c := transport.TLSClientConfig; !c.InsecureSkipVerify || c.MinVersion != tls.VersionTLS10 || transport.MaxResponseHeaderBytes != 0 {
		t.Error("the transport of base was changed")
	}
	if client.Jar != nil {
		t.Error("the client keeps cookies")
	}
	broken := errors.New("mutated")
	transport.Proxy = func(*http.Request) (*url.URL, error) { return nil, broken }
	transport.TLSClientConfig.RootCAs = nil
	if _, _, err := fetch.JSON(t.Context(), client, fetch.Request{Op: "discovery", URL: srv.URL}); err != nil {
		t.Errorf("a later change of base arrived: %v", err)
	}
}

func TestTimeoutOfBase(t *testing.T) {
	tests := []struct {
		name       string
		base, want time.Duration
	}{
		{"none becomes ten seconds", 0, 10 * time.Second},
		{"a shorter one is kept", time.Second, time.Second},
		{"a longer one becomes ten seconds", time.Minute, 10 * time.Second},
		{"a negative one becomes ten seconds", -1, 10 * time.Second},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var left time.Duration
				base := &http.Client{Timeout: tt.base, Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
					deadline, _ := r.Context().Deadline()
					left = time.Until(deadline)
					return nil, errors.New("enough")
				})}
				_, _ = get(t, base, "https://idp.example/")
				if left != tt.want {
					t.Errorf("got %v, want %v", left, tt.want)
				}
			})
		})
	}
}

// Each request has a timer, which must be stopped.
func TestTheTimerEndsWithTheAnswer(t *testing.T) {
	answers := map[string]func() (*http.Response, error){
		"an answer that is read": func() (*http.Response, error) {
			return &http.Response{StatusCode: 200, Header: http.Header{"Content-Type": {"application/json"}}, Body: io.NopCloser(strings.NewReader("{}"))}, nil
		},
		"an answer that is refused": func() (*http.Response, error) { return &http.Response{StatusCode: 302}, nil },
		"no answer":                 func() (*http.Response, error) { return nil, errors.New("down") },
	}
	for name, answer := range answers {
		var ctx context.Context
		base := &http.Client{Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
			if ctx = r.Context(); ctx.Err() != nil {
				t.Errorf("%s: the context has ended before the request", name)
			}
			return answer()
		})}
		_, _ = get(t, base, "https://idp.example/")
		if ctx.Err() != context.Canceled {
			t.Errorf("%s: the timer runs on", name)
		}
	}
}

func TestDialsTLS(t *testing.T) {
	dial := func(context.Context, string, string) (net.Conn, error) { return nil, errors.New("down") }
	for name, tt := range map[string]struct {
		base *http.Client
		want bool
	}{
		"no client":             {nil, false},
		"no transport":          {&http.Client{}, false},
		"a nil transport":       {&http.Client{Transport: (*http.Transport)(nil)}, false},
		"another round tripper": {&http.Client{Transport: roundTripper(nil)}, false},
		"a transport":           {&http.Client{Transport: &http.Transport{DialContext: dial}}, false},
		"with DialTLSContext":   {&http.Client{Transport: &http.Transport{DialTLSContext: dial}}, true},
		"with DialTLS":          {&http.Client{Transport: &http.Transport{DialTLS: func(string, string) (net.Conn, error) { return nil, nil }}}, true}, //lint:ignore SA1019 deprecated, and still called
	} {
		if got := fetch.DialsTLS(tt.base); got != tt.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestOtherRoundTrippersAreUsedAsTheyAre(t *testing.T) {
	own := errors.New("own")
	tests := []struct {
		name string
		resp *http.Response
		err  error
		id   string
	}{
		{"its error can be found", nil, own, "network.failed"},
		{"an answer without a body is an empty one", &http.Response{StatusCode: 404}, nil, "status"},
		{"no answer and no error is an error", nil, nil, "network.no_response"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			base := &http.Client{Transport: roundTripper(func(*http.Request) (*http.Response, error) { return tt.resp, tt.err })}
			_, err := get(t, base, "https://idp.example/")
			wantError(t, err, tt.id, "discovery: idp.example: ")
			if tt.err != nil && !errors.Is(err, tt.err) {
				t.Errorf("%v is lost in %v", tt.err, err)
			}
		})
	}
}

func TestARoundTripperThatPanicsFails(t *testing.T) {
	base := &http.Client{Transport: roundTripper(func(*http.Request) (*http.Response, error) { panic("two\nlines") })}
	_, err := get(t, base, "https://idp.example/")
	wantError(t, err, "malformed.panic", "discovery: idp.example: ", "two lines")
}

// TestProxyOfTheEnvironment runs itself in another process, since net/http reads the
// environment only once.
func TestProxyOfTheEnvironment(t *testing.T) {
	const again = "FETCH_TEST_BEHIND_PROXY"
	if os.Getenv(again) != "" {
		if obj, err := get(t, nil, "http://idp.example/metadata"); err != nil || obj["ok"] != true {
			t.Errorf("got %v, %v", obj, err)
		}
		return
	}
	var asked atomic.Value
	proxy := serve(t, func(w http.ResponseWriter, r *http.Request) {
		asked.Store(r.URL.Host + r.URL.Path)
		okay(w, r)
	})
	cmd := exec.Command(os.Args[0], "-test.run=^TestProxyOfTheEnvironment$")
	cmd.Env = append(os.Environ(), again+"=1", "HTTP_PROXY="+proxy.URL, "http_proxy="+proxy.URL, "NO_PROXY=", "no_proxy=")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if asked.Load() != "idp.example/metadata" {
		t.Errorf("the proxy was requested to fetch %v", asked.Load())
	}
}
