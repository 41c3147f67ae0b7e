package authtest

import (
	"crypto"
	"crypto/tls"
	"fmt"
	"io"
	"log"
	"maps"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"
)

// Config configures Start. The zero value is a provider on a free port with the users of
// [DemoPeople].
type Config struct {
	// Addr is the address to listen on: a loopback address, or a name ending in "localhost",
	// which is then the issuer's host. Some systems cannot resolve such names: set
	// [ginauth.Options.HTTPClient] to [Provider.HTTPClient] or, in another process, to
	// [LocalClient]. Default "127.0.0.1:0".
	Addr string

	// TLS serves the provider over https, with a certificate that [Provider.HTTPClient] and
	// every Browser of this process trust. Default: false.
	TLS bool

	// People are the user accounts. Default [DemoPeople].
	People []Person

	// ClientID and ClientSecret are those of the registered client. Default "demo-client" and
	// a random secret.
	ClientID, ClientSecret string

	// ClientName is the name of the client on the provider's page. Default ClientID.
	ClientName string

	// Public registers a public client: it has no secret, authenticates by its client_id, and
	// must use PKCE. Default: false.
	Public bool

	// ClientKey is the key of a client that authenticates only by assertions (private_key_jwt,
	// RFC 7523): with RS256, PS256, ES256, ES384, ES512 or EdDSA and any kid. The audience must
	// be only the issuer; an assertion is valid for at most five minutes and accepted once.
	// ClientSecret is then empty. Default: none.
	ClientKey crypto.Signer

	// RedirectURIs and PostLogoutRedirectURIs are the registered URIs of the client, compared
	// byte for byte. Default nil: any http or https URL.
	RedirectURIs, PostLogoutRedirectURIs []string

	// APIs are the APIs that the provider issues access tokens for, with their scopes: the key
	// is the API's identifier, ginauth's Provider.Audience. A request with one of these as its
	// resource (RFC 8707), or with one of their scopes, gets a JWT for that API (RFC 9068),
	// with every grant; a request for another resource is rejected. Default nil: access tokens
	// are for the provider's own endpoints, and resource is ignored.
	APIs map[string][]string

	// DeviceInterval is the interval at which a device may poll for its token (RFC 8628,
	// section 3.5), in whole seconds. Default five seconds.
	DeviceInterval time.Duration

	// SigningAlg is the signature algorithm of ID tokens: RS256 to PS512, ES256 or EdDSA.
	// Default "RS256".
	SigningAlg string

	// IDTokenTTL is how long an ID token is valid. Default one hour.
	IDTokenTTL time.Duration

	// ThinIDToken omits name, e-mail and groups from the ID token, as some providers do: they
	// are only in the userinfo response. Default: false.
	ThinIDToken bool

	// Now returns the provider's time. Default time.Now.
	Now func() time.Time
}

// Provider is a running OpenID provider. Its methods are safe for concurrent use.
type Provider struct {
	// Issuer is the issuer identifier and the URL of the server, without a trailing slash.
	Issuer string

	// ClientID and ClientSecret are the client's credentials; the secret is empty for a public
	// client.
	ClientID, ClientSecret string

	config  Config
	server  *http.Server
	client  *http.Client
	closing chan struct{}
	closed  sync.Once
	running sync.WaitGroup // the accept loop and the requests being answered

	cookieName string

	mu                sync.Mutex
	keys              []key // the last one signs
	strange           key   // never published; for WrongSignature
	people            []Person
	signInAs          string
	deny              bool
	ignorePKCE        bool
	keepRefreshTokens bool
	authentication
	faults     map[Endpoint]Fault
	handlers   map[Endpoint]http.HandlerFunc
	edits      edits
	codes      map[string]*grant
	tokens     map[string]*grant
	refreshes  map[string]*grant
	sessions   map[string]session
	opaque     map[string]map[string]any // claims of opaque access tokens
	assertions map[string]time.Time      // by their jti, until they expire
	devices    map[string]*device        // by their device code
	journal    journal
}

// Endpoint names one of the provider's endpoints.
type Endpoint string

// The endpoints, for [Provider.Requests], [Provider.Fail] and [Provider.Handle].
const (
	Discovery  Endpoint = "discovery"
	Authorize  Endpoint = "authorize"
	Token      Endpoint = "token"
	Userinfo   Endpoint = "userinfo"
	JWKS       Endpoint = "jwks"
	EndSession Endpoint = "end_session"
	Revoke     Endpoint = "revoke"
	Introspect Endpoint = "introspect"

	DeviceAuthorization Endpoint = "device_authorization"
)

var endpointPaths = map[Endpoint]string{
	Discovery:  "/.well-known/openid-configuration",
	Authorize:  "/authorize",
	Token:      "/token",
	Userinfo:   "/userinfo",
	JWKS:       "/jwks",
	EndSession: "/end_session",
	Revoke:     "/revoke",
	Introspect: "/introspect",

	DeviceAuthorization: "/device_authorization",
}

// Start starts a provider on a loopback port; [Provider.Close] ends it. It returns
// an error if config.Addr is not a loopback address or cannot be listened on, or if
// config.SigningAlg is unknown.
func Start(config Config) (*Provider, error) {
	config.setDefaults()
	listener, host, err := listen(config.Addr)
	if err != nil {
		return nil, err
	}
	signing, err := takeKey(config.SigningAlg)
	if err != nil {
		_ = listener.Close()
		return nil, fmt.Errorf("%w: Config.SigningAlg %q", err, config.SigningAlg)
	}
	p := &Provider{
		ClientID:     config.ClientID,
		ClientSecret: config.ClientSecret,
		config:       config,
		client:       &http.Client{Transport: loopbackTransport(func(string) string { return "" })},
		closing:      make(chan struct{}),
		keys:         []key{signing},
		faults:       map[Endpoint]Fault{},
		handlers:     map[Endpoint]http.HandlerFunc{},
		codes:        map[string]*grant{},
		tokens:       map[string]*grant{},
		refreshes:    map[string]*grant{},
		sessions:     map[string]session{},
		assertions:   map[string]time.Time{},
		opaque:       map[string]map[string]any{},
		devices:      map[string]*device{},
	}
	_, port, _ := net.SplitHostPort(listener.Addr().String())
	p.cookieName = "authtest_session_" + port // cookies are shared by all ports of a host
	p.Issuer = "http://" + net.JoinHostPort(host, port)
	if config.TLS {
		p.Issuer = "https://" + net.JoinHostPort(host, port)
	}
	for _, person := range config.People {
		p.AddPerson(person)
	}
	if err := p.serve(listener, host); err != nil {
		_ = listener.Close()
		return nil, err
	}
	return p, nil
}

// listen opens a port on loopback only.
func listen(address string) (listener net.Listener, host string, err error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, "", fmt.Errorf("authtest: Config.Addr: %w", err)
	}
	if !isLoopback(host) {
		return nil, "", fmt.Errorf("authtest: Config.Addr %q: a provider without passwords listens only on loopback addresses", address)
	}
	bind := host
	if net.ParseIP(host) == nil {
		bind = "127.0.0.1"
	}
	if listener, err = net.Listen("tcp", net.JoinHostPort(bind, port)); err != nil {
		return nil, "", fmt.Errorf("authtest: %w", err)
	}
	return listener, host, nil
}

func (c *Config) setDefaults() {
	orString(&c.Addr, "127.0.0.1:0")
	orString(&c.ClientID, "demo-client")
	orString(&c.ClientName, c.ClientID)
	orString(&c.SigningAlg, "RS256")
	if c.Public || c.ClientKey != nil {
		c.ClientSecret = ""
	} else {
		orString(&c.ClientSecret, randomString(32))
	}
	if c.IDTokenTTL == 0 {
		c.IDTokenTTL = time.Hour
	}
	if c.DeviceInterval == 0 {
		c.DeviceInterval = 5 * time.Second
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.People == nil {
		c.People = DemoPeople()
	}
	c.APIs = maps.Clone(c.APIs)
	for api, scopes := range c.APIs {
		c.APIs[api] = append([]string{}, scopes...)
	}
	c.RedirectURIs = slices.Clone(c.RedirectURIs)
	c.PostLogoutRedirectURIs = slices.Clone(c.PostLogoutRedirectURIs)
}

func orString(s *string, otherwise string) {
	if *s == "" {
		*s = otherwise
	}
}

func (p *Provider) serve(listener net.Listener, host string) error {
	p.server = &http.Server{
		Handler:           p.routes(),
		ReadHeaderTimeout: 10 * time.Second,
		ErrorLog:          log.New(io.Discard, "", 0), // tests provoke rejected TLS handshakes
	}
	if !p.config.TLS {
		p.running.Go(func() { _ = p.server.Serve(listener) }) // returns ErrServerClosed after Close
		return nil
	}
	certificate, err := Certificate("localhost", "*.localhost", "127.0.0.1", "::1", host)
	if err != nil {
		return err
	}
	p.server.TLSConfig = &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12}
	// HTTP/1 only: some faults need the connection itself.
	p.server.Protocols = new(http.Protocols)
	p.server.Protocols.SetHTTP1(true)
	p.running.Go(func() { _ = p.server.ServeTLS(listener, "", "") })
	return nil
}

func (p *Provider) routes() http.Handler {
	mux := http.NewServeMux()
	for endpoint, path := range endpointPaths {
		mux.Handle(path, p.observed(endpoint))
	}
	mux.HandleFunc("POST "+choosePath, p.serveChoice)
	mux.HandleFunc("GET "+devicePath, p.showDevice)
	mux.Handle("POST "+devicePath, http.NewCrossOriginProtection().Handler(http.HandlerFunc(p.serveDevice)))
	mux.HandleFunc("GET /avatar/{file}", p.serveAvatar)
	mux.HandleFunc(evilPath, p.serveEvil)
	mux.HandleFunc("GET /{$}", p.serveIndex)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !p.enter() {
			panic(http.ErrAbortHandler)
		}
		defer p.running.Done()
		mux.ServeHTTP(w, r)
	})
}

// enter counts a request, for which Close waits. It returns false if Close was called.
func (p *Provider) enter() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case <-p.closing:
		return false
	default:
		p.running.Add(1)
		return true
	}
}

// Close stops the provider: it aborts requests in progress and returns when all goroutines
// have ended.
func (p *Provider) Close() {
	p.closed.Do(func() {
		p.mu.Lock()
		close(p.closing)
		p.mu.Unlock()
		_ = p.server.Close() // an error of the listener has no effect
		p.client.CloseIdleConnections()
		p.running.Wait()
		p.mu.Lock()
		defer p.mu.Unlock()
		returnKeys(p.keys)
		if p.strange.signer != nil {
			returnKeys([]key{p.strange})
		}
	})
}

// URL returns the URL of an endpoint.
func (p *Provider) URL(e Endpoint) string { return p.Issuer + endpointPaths[e] }

// HTTPClient returns a client that trusts the provider's certificate and resolves every
// loopback name.
func (p *Provider) HTTPClient() *http.Client { return p.client }

func (p *Provider) now() time.Time { return p.config.Now() }
