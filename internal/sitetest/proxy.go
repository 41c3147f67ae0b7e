package sitetest

import (
	"crypto/tls"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"testing"

	"github.com/gin-gonic/gin"

	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/authtest"
)

// Proxy is a reverse proxy that terminates TLS for hosts of example.com. It forwards requests below a
// prefix to a server: without the prefix, and with the server's Host, as most proxies do by default.
type Proxy struct {
	addr   string
	routes map[string]*url.URL // prefix -> server
}

// NewProxy starts a Proxy with a certificate for hosts.
func NewProxy(t testing.TB, hosts ...string) *Proxy {
	t.Helper()
	p := &Proxy{routes: map[string]*url.URL{}}
	server := httptest.NewUnstartedServer(p)
	cert, err := authtest.Certificate(hosts...)
	if err != nil {
		t.Fatal(err)
	}
	server.TLS = &tls.Config{Certificates: []tls.Certificate{cert}}
	server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	server.StartTLS()
	t.Cleanup(server.Close)
	p.addr = server.Listener.Addr().String()
	return p
}

// ServeHTTP strips the prefix and forwards the request.
func (p *Proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	for prefix, server := range p.routes {
		if r.URL.Path == prefix || strings.HasPrefix(r.URL.Path, prefix+"/") {
			proxy := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
				r.SetURL(server)
				r.SetXForwarded()
			}}
			http.StripPrefix(prefix, proxy).ServeHTTP(w, r)
			return
		}
	}
	http.Error(w, "no application is here", http.StatusNotFound)
}

// Behind serves an application behind the proxy, at https://app.example.com and
// prefix, with ginauth mounted on a group.
func (p *Proxy) Behind(t testing.TB, prefix, group string, change func(s *Site, o *ginauth.Options)) *Site {
	t.Helper()
	s := &Site{T: t, Clock: &Clock{}, Logs: &Logs{}, Engine: gin.New(), URL: "https://app.example.com" + prefix}
	callback := s.URL + group + "/authorize/demo"
	s.IDP = StartProvider(t, authtest.Config{Now: s.Clock.Now, TLS: true, Addr: "idp.localhost:0", RedirectURIs: []string{callback}})
	server := httptest.NewServer(s.Engine)
	t.Cleanup(server.Close)
	p.routes[prefix], _ = url.Parse(server.URL)
	s.Browser = p.newBrowser(s)
	opts := ginauth.Options{BaseURL: s.URL, Keys: []string{Key}, Logger: s.Logs.Logger(), Now: s.Clock.Now,
		HTTPClient: s.IDP.HTTPClient(), Providers: []ginauth.Provider{Client("demo", s.IDP)}}
	if change != nil {
		change(s, &opts)
	}
	var err error
	if s.Auth, err = ginauth.Mount(s.Engine.Group(group), opts); err != nil {
		t.Fatal(err)
	}
	s.routes()
	return s
}

func (p *Proxy) newBrowser(s *Site) *authtest.Browser {
	b := s.NewBrowser()
	for _, host := range []string{"app.example.com", "other.example.com"} {
		b.Resolve(host, p.addr)
	}
	return b
}
