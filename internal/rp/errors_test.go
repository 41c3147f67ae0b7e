package rp_test

import (
	"context"
	"crypto/tls"
	"errors"
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ginauth/ginauth/internal/fetch"
	"github.com/ginauth/ginauth/internal/rp"
)

// reasons are the IDs of all errors, with their codes.
var reasons = map[string][]rp.Code{
	"authorize.too_long": {rp.BadRequest},

	"discovery.issuer_mismatch":  {rp.ProviderMisconfigured},
	"discovery.issuer_missing":   {rp.ProviderMisconfigured},
	"discovery.endpoint_missing": {rp.ProviderMisconfigured},
	"discovery.endpoint_invalid": {rp.ProviderMisconfigured},
	"discovery.algorithms":       {rp.ProviderMisconfigured},
	"discovery.id_token_alg":     {rp.ProviderMisconfigured},
	"discovery.auth_method":      {rp.ProviderMisconfigured},
	"discovery.assertion_alg":    {rp.ProviderMisconfigured},

	"http.timeout":             {rp.ProviderTimeout},
	"http.no_tls":              {rp.ProviderUnavailable},
	"http.certificate":         {rp.ProviderUnavailable},
	"http.certificate_host":    {rp.ProviderUnavailable},
	"http.certificate_expired": {rp.ProviderUnavailable},
	"http.redirect":            {rp.ProviderUnavailable},
	"http.media_type":          {rp.ProviderUnavailable},
	"http.not_found":           {rp.ProviderUnavailable},
	"http.status":              {rp.ProviderUnavailable},
	"http.network":             {rp.ProviderUnavailable},
	"http.too_large":           {rp.ProviderUnavailable},
	"http.unusable":            {rp.ProviderUnavailable},

	"response.duplicate":             {rp.BadRequest},
	"response.ambiguous":             {rp.BadRequest},
	"response.code_and_error":        {rp.BadRequest},
	"response.empty":                 {rp.BadRequest},
	"response.code":                  {rp.BadRequest},
	"response.issuer":                {rp.IssuerMismatch},
	"response.issuer_missing":        {rp.IssuerMismatch},
	"response.issuer_unknown":        {rp.IssuerMismatch},
	"response.provider_changed":      {rp.IssuerMismatch},
	"response.client_changed":        {rp.StateInvalid},
	"response.access_denied":         {rp.ProviderDenied},
	"response.interaction_required":  {rp.ProviderDenied},
	"response.requirements_unmet":    {rp.ProviderDenied},
	"response.redirect_uri_mismatch": {rp.ProviderMisconfigured},
	"response.error":                 {rp.ProviderError},
	"response.invalid_scope":         {rp.ProviderError},
	"response.invalid_request":       {rp.ProviderError},
	"response.verify_callback":       {rp.ProviderError},

	"token.client_assertion":      {rp.ProviderMisconfigured},
	"token.client_secret_func":    {rp.ProviderMisconfigured},
	"token.endpoint":              {rp.ProviderMisconfigured},
	"token.invalid_client":        {rp.ProviderMisconfigured},
	"token.redirect_uri_mismatch": {rp.ProviderMisconfigured},
	"token.invalid_grant":         {rp.CodeRejected},
	"token.error":                 {rp.ProviderError},
	"token.unavailable":           {rp.ProviderUnavailable},
	"response.unavailable":        {rp.ProviderError},
	"token.normalize":             {rp.BadTokenResponse},
	"token.media_type":            {rp.BadTokenResponse},
	"token.status":                {rp.BadTokenResponse},
	"token.json":                  {rp.BadTokenResponse},
	"token.ambiguous":             {rp.BadTokenResponse},
	"token.error_type":            {rp.BadTokenResponse},
	"token.type_missing":          {rp.BadTokenResponse},
	"token.type":                  {rp.BadTokenResponse},
	"token.access_token":          {rp.BadTokenResponse},
	"token.expires_in":            {rp.BadTokenResponse},
	"token.no_id_token":           {rp.BadTokenResponse},

	"refresh.invalid_grant": {rp.StepUpRequired},
	"refresh.consent":       {rp.StepUpRequired},
	"refresh.issuer":        {rp.IDTokenInvalid},
	"refresh.subject":       {rp.IDTokenInvalid},
	"refresh.iat":           {rp.IDTokenInvalid},
	"refresh.auth_time":     {rp.IDTokenInvalid},
	"refresh.nonce":         {rp.IDTokenInvalid},

	// ID tokens, logout tokens and signed userinfo are verified by the same code.
	"jwt.too_long":            {rp.IDTokenInvalid, rp.LogoutTokenInvalid, rp.InvalidToken},
	"jwt.malformed":           {rp.IDTokenInvalid, rp.LogoutTokenInvalid, rp.InvalidToken},
	"jwt.header_json":         {rp.IDTokenInvalid},
	"jwt.header_ambiguous":    {rp.IDTokenInvalid},
	"jwt.header_unsupported":  {rp.IDTokenInvalid, rp.LogoutTokenInvalid},
	"jwt.typ":                 {rp.IDTokenInvalid, rp.LogoutTokenInvalid, rp.UserinfoInvalid, rp.InvalidToken},
	"jwt.kid":                 {rp.IDTokenInvalid},
	"jwt.algorithm":           {rp.IDTokenInvalid, rp.LogoutTokenInvalid, rp.UserinfoInvalid, rp.InvalidToken},
	"jwt.no_key":              {rp.IDTokenInvalid, rp.LogoutTokenInvalid, rp.InvalidToken},
	"jwt.signature":           {rp.IDTokenInvalid, rp.LogoutTokenInvalid, rp.UserinfoInvalid, rp.InvalidToken},
	"jwt.claims_json":         {rp.IDTokenInvalid, rp.InvalidToken},
	"jwt.claims_form":         {rp.IDTokenInvalid, rp.UserinfoInvalid, rp.InvalidToken},
	"jwt.claims_ambiguous":    {rp.IDTokenInvalid, rp.LogoutTokenInvalid, rp.UserinfoInvalid, rp.IdentityRejected, rp.InvalidToken},
	"jwt.audience":            {rp.IDTokenInvalid, rp.LogoutTokenInvalid, rp.UserinfoInvalid},
	"jwt.expired":             {rp.IDTokenInvalid, rp.LogoutTokenInvalid, rp.UserinfoInvalid, rp.InvalidToken},
	"jwt.exp":                 {rp.IDTokenInvalid, rp.LogoutTokenInvalid, rp.UserinfoInvalid, rp.InvalidToken},
	"jwt.nbf":                 {rp.IDTokenInvalid, rp.LogoutTokenInvalid, rp.UserinfoInvalid, rp.InvalidToken},
	"jwt.key_issuer":          {rp.IDTokenInvalid, rp.InvalidToken},
	"jwt.issuer":              {rp.IDTokenInvalid, rp.LogoutTokenInvalid, rp.UserinfoInvalid, rp.InvalidToken},
	"jwt.issuer_missing":      {rp.IDTokenInvalid, rp.LogoutTokenInvalid, rp.UserinfoInvalid, rp.InvalidToken},
	"jwt.issuer_not_admitted": {rp.IDTokenInvalid},

	"access_token.kind":       {rp.InvalidToken},
	"access_token.bound":      {rp.InvalidToken},
	"access_token.audience":   {rp.InvalidToken},
	"access_token.client":     {rp.InvalidToken},
	"access_token.iat":        {rp.InvalidToken},
	"access_token.iat_future": {rp.InvalidToken},
	"access_token.sub":        {rp.InvalidToken},
	"introspection.inactive":  {rp.InvalidToken},
	"introspection.endpoint":  {rp.ProviderMisconfigured},
	"introspection.json":      {rp.ProviderUnavailable},

	"id_token.azp":              {rp.IDTokenInvalid},
	"id_token.audiences":        {rp.IDTokenInvalid},
	"id_token.events":           {rp.IDTokenInvalid},
	"id_token.exp":              {rp.IDTokenInvalid},
	"id_token.iat":              {rp.IDTokenInvalid},
	"id_token.iat_future":       {rp.IDTokenInvalid},
	"id_token.iat_past":         {rp.IDTokenInvalid},
	"id_token.session_expiry":   {rp.IDTokenInvalid},
	"id_token.nonce":            {rp.IDTokenInvalid},
	"id_token.at_hash":          {rp.IDTokenInvalid},
	"id_token.c_hash":           {rp.IDTokenInvalid},
	"id_token.s_hash":           {rp.IDTokenInvalid},
	"id_token.auth_time":        {rp.IDTokenInvalid},
	"id_token.auth_time_future": {rp.IDTokenInvalid},
	"id_token.max_age":          {rp.IDTokenInvalid},
	"id_token.max_age_ignored":  {rp.IDTokenInvalid},
	"id_token.acr":              {rp.IDTokenInvalid},
	"id_token.sub":              {rp.IDTokenInvalid},
	"id_token.sub_too_long":     {rp.IDTokenInvalid},
	"id_token.sub_characters":   {rp.IDTokenInvalid},

	"userinfo.no_endpoint":    {rp.ProviderMisconfigured},
	"userinfo.endpoint":       {rp.ProviderMisconfigured},
	"userinfo.sub":            {rp.UserinfoInvalid},
	"userinfo.another_person": {rp.IDTokenInvalid},
	"profile.json":            {rp.UserinfoInvalid, rp.IdentityRejected},
	"profile.unwritable":      {rp.IdentityRejected},
	"profile.float":           {rp.IdentityRejected},

	"logout_token.plain":               {rp.LogoutTokenInvalid},
	"logout_token.events":              {rp.LogoutTokenInvalid},
	"logout_token.nonce":               {rp.LogoutTokenInvalid},
	"logout_token.jti":                 {rp.LogoutTokenInvalid},
	"logout_token.sub":                 {rp.LogoutTokenInvalid},
	"logout_token.sid":                 {rp.LogoutTokenInvalid},
	"logout_token.sub_and_sid_missing": {rp.LogoutTokenInvalid},
	"logout_token.iat":                 {rp.LogoutTokenInvalid},
	"logout_token.iat_future":          {rp.LogoutTokenInvalid},
	"logout_token.iat_past":            {rp.LogoutTokenInvalid},

	"diagnose.keys":             {rp.ProviderMisconfigured},
	"diagnose.callback_shared":  {rp.ProviderMisconfigured},
	"diagnose.key_unusable":     {rp.ProviderMisconfigured},
	"diagnose.clock":            {rp.ProviderMisconfigured},
	"diagnose.pkce_not_offered": {rp.ProviderMisconfigured},
	"diagnose.pkce_disabled":    {rp.ProviderMisconfigured},
	"diagnose.auth_method":      {rp.ProviderMisconfigured},
	"diagnose.response_mode":    {rp.ProviderMisconfigured},
	"diagnose.response_type":    {rp.ProviderMisconfigured},
	"diagnose.loopback":         {rp.ProviderMisconfigured},
	"diagnose.scope":            {rp.ProviderMisconfigured},
}

// warnings are the IDs that are passed to Config.Warn, in addition to those of reasons.
var warnings = []string{"discovery.endpoint_ignored", "discovery.not_renewed", "userinfo.skipped"}

// warned are the IDs that were passed to Config.Warn.
var warned sync.Map

// unreachable are the IDs of errors that cannot occur: a second line of defense.
var unreachable = []string{"provider.failed"}

// raised are the pairs of code and ID that wantError has seen.
var raised sync.Map

// TestMain checks, after all tests have passed, that every error in reasons was raised and every
// warning was given.
func TestMain(m *testing.M) {
	status := m.Run()
	all := true // whether all tests were run
	for _, name := range []string{"test.run", "test.skip", "test.list", "test.fuzz"} {
		all = all && flag.Lookup(name).Value.String() == ""
	}
	if status == 0 && all {
		for id, codes := range reasons {
			for _, code := range codes {
				if _, ok := raised.Load(string(code) + ", " + id); !ok {
					fmt.Printf("no test raises %s, %s\n", code, id)
					status = 1
				}
			}
		}
		for _, id := range warnings {
			if _, ok := warned.Load(id); !ok {
				fmt.Printf("no test warns of %s\n", id)
				status = 1
			}
		}
	}
	os.Exit(status)
}

// The IDs in the source are those in reasons and warnings.
func TestReasonsAreThoseOfTheSources(t *testing.T) {
	form := regexp.MustCompile(`^[a-z_]+\.[a-z_]+$`)
	found := map[string]bool{}
	names := must(filepath.Glob("*.go"))
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file := must(parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution))
		ast.Inspect(file, func(n ast.Node) bool {
			if lit, ok := n.(*ast.BasicLit); ok && lit.Kind == token.STRING {
				if text := must(strconv.Unquote(lit.Value)); form.MatchString(text) {
					found[text] = true
				}
			}
			return true
		})
	}
	for _, name := range []string{"sub", "sid"} { // put together in logout_token.go
		found["logout_token."+name] = true
	}
	known := map[string]bool{}
	for id := range reasons {
		known[id] = true
	}
	for _, id := range slices.Concat(unreachable, warnings) {
		known[id] = true
	}
	if !maps.Equal(found, known) {
		for id := range known {
			if !found[id] {
				t.Errorf("%s is not in the source", id)
			}
		}
		for id := range found {
			if !known[id] {
				t.Errorf("%s is not in reasons", id)
			}
		}
	}
}

func TestErrorText(t *testing.T) {
	cause := errors.New("cause")
	for _, test := range []struct {
		err  rp.Error
		want string
	}{
		{rp.Error{Code: rp.BadRequest}, "bad_request"},
		{rp.Error{Code: rp.BadRequest, Reason: "reason"}, "reason"},
		{rp.Error{Code: rp.BadRequest, Op: "op", Reason: "reason"}, "op: reason"},
		{rp.Error{Code: rp.BadRequest, Provider: "corp", Op: "op", Reason: "reason", Fix: "fix", Cause: cause}, "corp: op: reason; fix: cause"},
	} {
		if got := test.err.Error(); got != test.want {
			t.Errorf("got %q, want %q", got, test.want)
		}
		if errors.Is(&test.err, cause) != (test.err.Cause != nil) {
			t.Errorf("%v does not unwrap to its cause", &test.err)
		}
	}
}

// Several sign-ins may wait for the same error: each gets a copy.
func TestErrorsAreNotShared(t *testing.T) {
	p := newProvider(t)
	p.on(pathKeys, answering(http.StatusServiceUnavailable, "text/plain", ""))
	c := p.client()
	_, err := p.signIn(c)
	first := *wantError(t, err, rp.ProviderUnavailable, "http.status")
	_, again := c.VerifyLogoutToken(t.Context(), p.logoutToken(nil, nil))
	second := wantError(t, again, rp.ProviderUnavailable, "http.status")
	if err == again || *err.(*rp.Error) != first || second.Op != first.Op {
		t.Errorf("got %+v, then %+v", err, again)
	}
}

// Problems with certificates have different IDs, since the remedies differ.
func TestCertificates(t *testing.T) {
	for _, test := range []struct {
		name   string
		start  func(*httptest.Server)
		client func(*provider) *http.Client
		issuer func(string) string
		id     string
	}{
		{"http where https is expected", (*httptest.Server).Start, func(*provider) *http.Client { return nil },
			func(url string) string { return strings.Replace(url, "http://", "https://", 1) }, "http.no_tls"},
		{"an unknown authority", (*httptest.Server).StartTLS, func(*provider) *http.Client { return nil },
			func(url string) string { return url }, "http.certificate"},
		{"another host", (*httptest.Server).StartTLS, func(p *provider) *http.Client { return p.Client() },
			func(url string) string { return strings.Replace(url, "127.0.0.1", "localhost", 1) }, "http.certificate_host"},
		{"an expired one", (*httptest.Server).StartTLS, func(p *provider) *http.Client {
			transport := p.Client().Transport.(*http.Transport).Clone()
			transport.TLSClientConfig.Time = func() time.Time { return time.Date(2200, 1, 1, 0, 0, 0, 0, time.UTC) }
			return &http.Client{Transport: transport}
		}, func(url string) string { return url }, "http.certificate_expired"},
		{"a protocol of old", func(s *httptest.Server) {
			s.TLS = &tls.Config{MaxVersion: tls.VersionTLS11, MinVersion: tls.VersionTLS10}
			s.StartTLS()
		}, func(p *provider) *http.Client { return p.Client() }, func(url string) string { return url }, "http.certificate"},
	} {
		t.Run(test.name, func(t *testing.T) {
			p := startProvider(t, test.start)
			p.Config.ErrorLog = discard()
			c := p.client(func(cfg *rp.Config) {
				cfg.HTTP, cfg.Issuer = fetch.Client(test.client(p), "rp test"), test.issuer(p.URL)
			})
			if e := wantError(t, c.Discover(t.Context()), rp.ProviderUnavailable, test.id); e.Fix == "" {
				t.Errorf("got %+v", e)
			}
		})
	}
}

func TestProviderThatCannotBeReached(t *testing.T) {
	p := newProvider(t)
	p.Close()
	wantError(t, p.client().Discover(t.Context()), rp.ProviderUnavailable, "http.network")
	c := p.client(func(cfg *rp.Config) {
		cfg.HTTP = &http.Client{Transport: roundTripper(func(*http.Request) (*http.Response, error) { return nil, context.DeadlineExceeded })}
	})
	wantError(t, c.Discover(t.Context()), rp.ProviderTimeout, "http.timeout")
}

// TestStatusAndHost: the error of an endpoint has its status and host.
func TestStatusAndHost(t *testing.T) {
	p := newProvider(t)
	host := strings.TrimPrefix(p.URL, "http://")
	for _, tt := range []struct {
		path   string
		status int
		media  string
		code   rp.Code
		id     string
		want   string
	}{
		{pathToken, 400, "text/plain", rp.BadTokenResponse, "token.status", "400"},
		{pathToken, 404, "text/html", rp.BadTokenResponse, "token.status", "404"},
		{pathToken, 502, "text/html", rp.ProviderUnavailable, "http.status", "502"},
		{pathToken, 200, "text/html", rp.BadTokenResponse, "token.media_type", "text/html"},
		{pathUserinfo, 404, "text/html", rp.ProviderUnavailable, "http.not_found", ""},
		{pathUserinfo, 503, "text/html", rp.ProviderUnavailable, "http.status", "503"},
		{pathUserinfo, 200, "text/plain", rp.ProviderUnavailable, "http.media_type", "it responded with text/plain"},
		{pathUserinfo, 200, "", rp.ProviderUnavailable, "http.media_type", "it responded without a media type"},
		{pathUserinfo, 200, "text/<b>", rp.ProviderUnavailable, "http.media_type", "it responded without a media type"},
		{pathKeys, 500, "text/html", rp.ProviderUnavailable, "http.status", "500"},
		{pathKeys, 200, "text/html", rp.ProviderUnavailable, "http.media_type", "it responded with text/html"},
	} {
		p.on(tt.path, func(w http.ResponseWriter, _ *http.Request) {
			w.Header()["Content-Type"] = nil
			if tt.media != "" {
				w.Header().Set("Content-Type", tt.media)
			}
			w.WriteHeader(tt.status)
			_, _ = w.Write([]byte("<html>"))
		})
		_, err := p.signIn(p.client(always))
		e := wantError(t, err, tt.code, tt.id)
		if !strings.Contains(e.Reason, tt.want) || !strings.Contains(e.Reason, host) || e.Fix == "" {
			t.Errorf("%s %d: the error is %v", tt.path, tt.status, e)
		}
		p.on(tt.path, nil)
	}
}

// TestFixOfEveryFailure: network failures have a fix too.
func TestFixOfEveryFailure(t *testing.T) {
	p := newProvider(t)
	discover := func(edits ...func(*rp.Config)) error { return p.client(edits...).Discover(t.Context()) }

	p.on(pathDiscovery, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	slow := func(cfg *rp.Config) { cfg.HTTP = fetch.Client(&http.Client{Timeout: 50 * time.Millisecond}, "test") }
	wantError(t, discover(slow), rp.ProviderTimeout, "http.timeout")
	p.on(pathDiscovery, answering(200, "application/json", "[]"))
	wantError(t, discover(), rp.ProviderUnavailable, "http.unusable")
	p.on(pathDiscovery, nil)

	refuse := func(cfg *rp.Config) { cfg.VerifyCallback = func(url.Values) error { return errors.New("forged") } }
	wantError(t, p.client(refuse).CheckResponse(t.Context(), response()), rp.ProviderError, "response.verify_callback")
}

// The codes are those of package ginauth.
func TestCodes(t *testing.T) {
	for _, codes := range reasons {
		for _, code := range codes {
			if !slices.Contains([]rp.Code{
				"bad_request", "issuer_mismatch", "state_invalid", "provider_denied", "provider_error", "code_rejected", "provider_misconfigured",
				"provider_unavailable", "provider_timeout", "bad_token_response", "id_token_invalid", "userinfo_invalid", "identity_rejected", "logout_token_invalid", "step_up_required", "invalid_token",
			}, code) {
				t.Errorf("%s is not a code of package ginauth", code)
			}
		}
	}
}
