package browser

import (
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ginauth/ginauth"
)

// insecure is an application on http in a private network, whose provider is on https.
var insecure = place{app: privateHost, idp: "idp.localhost", tls: true, plainApp: true}

// Browsers send no Fetch Metadata to a host that they do not trust, and keep no Secure
// cookies of it: everything has to work without, and another origin must not get in.
func TestPlainHTTPInAPrivateNetwork(t *testing.T) {
	each(t, func(t *testing.T, b *browser) {
		s := newSite(t, insecure, func(_ *site, o *ginauth.Options) { o.InsecureHTTP = true })
		var refused atomic.Int64
		s.through(func(w http.ResponseWriter) http.ResponseWriter { return &counted{w, &refused} })
		x := b.open(t)
		s.signIn(x, "/page/one")
		x.click("Send")
		x.at(s.URL+"/page/form", "Sent by Ada Lovelace")
		own := s.got("POST", "/page/form")[0]
		if h := own.Header; h.Get("Origin") != s.URL || h.Get("Sec-Fetch-Site") != "" {
			t.Errorf("its own form came with Origin %q and Sec-Fetch-Site %q", h.Get("Origin"), h.Get("Sec-Fetch-Site"))
		}
		for _, c := range own.Cookies() {
			if strings.HasPrefix(c.Name, "__") {
				t.Errorf("the browser sends a cookie %q", c.Name)
			}
		}
		x.get(s.URL + "/logout") // our own page, whose policy must not hide where its form comes from
		x.click("Sign out")
		x.at(s.URL+"/", "Home of nobody")
		s.signIn(x, "/page/one")

		if n := refused.Load(); n != 0 {
			t.Fatalf("%d requests of its own were refused", n)
		}
		evil := s.neighbour()
		y := b.tab(t, x.user) // not careful: the browser complains of what is refused
		y.get(evil + "/form")
		y.click("Win")
		y.at(s.URL+"/page/sent", "cross_origin")
		y.get(evil + "/script")
		for _, ask := range [][2]string{{"POST", "/page/sent"}, {"POST", "/page/fetched"}, {"GET", "/page/socket"}} {
			for late := time.Now().Add(patience); len(s.got(ask[0], ask[1])) == 0 && time.Now().Before(late); {
				x.get(s.URL + "/") // which takes a moment
			}
			for _, r := range s.got(ask[0], ask[1]) {
				if h := r.Header; h.Get("Origin") != evil || h.Get("Sec-Fetch-Site") != "" || len(r.Cookies()) == 0 {
					t.Errorf("%s came with Origin %q, Sec-Fetch-Site %q and %d cookies", ask[1], h.Get("Origin"), h.Get("Sec-Fetch-Site"), len(r.Cookies()))
				}
			}
		}
		x.get(s.URL + "/page/two")
		x.at(s.URL+"/page/two", "Page two of Ada Lovelace")
		if n := refused.Load(); n != 3 {
			t.Errorf("%d requests of another origin were refused, want 3", n)
		}
	})
}

// counted counts the answers that are 403.
type counted struct {
	http.ResponseWriter
	refused *atomic.Int64
}

func (w *counted) WriteHeader(status int) {
	if status == http.StatusForbidden {
		w.refused.Add(1)
	}
	w.ResponseWriter.WriteHeader(status)
}

// neighbour is a program on another port of the application's host, which for a browser
// is another origin of the same site: the session's cookie comes along. It returns its
// origin.
func (s *site) neighbour() string {
	s.t.Helper()
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body := `<form method="post" action="` + s.URL + `/page/sent"><button>Win</button></form>`
		if r.URL.Path == "/script" {
			body = `<script>fetch("` + s.URL + `/page/fetched", {method: "POST", mode: "no-cors", credentials: "include"}).catch(() => {})
new WebSocket("` + strings.Replace(s.URL, "http", "ws", 1) + `/page/socket")</script>`
		}
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		fmt.Fprint(w, `<!doctype html><html lang="en"><title>Neighbour</title>`+body)
	}))
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.Start()
	s.t.Cleanup(server.Close)
	return strings.Replace(server.URL, "127.0.0.1", privateHost, 1)
}
