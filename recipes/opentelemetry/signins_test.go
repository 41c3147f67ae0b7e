package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/gin-gonic/gin"
	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/authtest"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/propagation"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"
)

// observed is what a collector receives from a successful and a failed sign-in.
type observed struct {
	idp     *authtest.Provider
	spans   tracetest.SpanStubs
	metrics metricdata.ResourceMetrics
}

func signIn(t *testing.T) observed {
	t.Helper()
	gin.SetMode(gin.TestMode)
	spans, reader := tracetest.NewInMemoryExporter(), sdkmetric.NewManualReader()
	otel.SetTracerProvider(sdktrace.NewTracerProvider(sdktrace.WithSyncer(spans)))
	otel.SetMeterProvider(sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader)))
	otel.SetTextMapPropagator(propagation.TraceContext{})
	idp, err := authtest.Start(authtest.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(idp.Close)
	idp.SignInAs("ada")
	server := httptest.NewUnstartedServer(nil)
	address := "http://localhost" + strings.TrimLeft(server.Listener.Addr().String(), "0123456789.")
	provider := idp.Client("corp")
	provider.Userinfo = "always"
	app, err := application(ginauth.Options{
		BaseURL: address, Providers: []ginauth.Provider{provider}, Logger: slog.New(slog.NewTextHandler(io.Discard, nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	server.Config.Handler = app
	server.Start()
	t.Cleanup(server.Close)
	browser := authtest.NewBrowser()
	t.Cleanup(browser.Close)
	page, err := browser.Get(address + "/")
	if err != nil || page.Text() != "Hello, Ada Lovelace!" {
		t.Fatalf("the sign-in ended with %v, %v", page, err)
	}
	if _, err := browser.Get(address + "/authorize/corp?state=x&code=y"); err != nil {
		t.Fatal(err)
	}
	server.Close() // waits for the spans of all requests
	o := observed{idp: idp, spans: spans.GetSpans()}
	if err := reader.Collect(context.Background(), &o.metrics); err != nil {
		t.Fatal(err)
	}
	return o
}

// span returns the span whose events have one of that name.
func (o *observed) span(event string) *tracetest.SpanStub {
	for i, s := range o.spans {
		for _, e := range s.Events {
			if e.Name == event {
				return &o.spans[i]
			}
		}
	}
	return nil
}

func TestSignInsAreTraced(t *testing.T) {
	o := signIn(t)
	for event, route := range map[string]string{
		"sign_in_started": "/login/:provider", "sign_in_succeeded": "/authorize/:provider", "sign_in_failed": "/authorize/:provider",
	} {
		s := o.span(event)
		if s == nil || s.SpanKind != trace.SpanKindServer || !strings.Contains(s.Name, route) {
			t.Errorf("%s is on the span %+v", event, s)
		}
	}
	callback := o.span("sign_in_succeeded")
	requests := map[string]int{} // to the provider, while the browser waits
	for _, s := range o.spans {
		if s.SpanKind == trace.SpanKindClient && s.Parent.SpanID() == callback.SpanContext.SpanID() {
			for _, a := range s.Attributes {
				if a.Key == "url.full" {
					requests[strings.TrimPrefix(a.Value.AsString(), o.idp.Issuer)]++
				}
			}
		}
	}
	for _, e := range []authtest.Endpoint{authtest.Token, authtest.Userinfo} {
		if path := strings.TrimPrefix(o.idp.URL(e), o.idp.Issuer); requests[path] != 1 {
			t.Errorf("the sign-in's requests are %v; want one to %s", requests, path)
		}
	}
}

// Traces are visible to more people than sign-in data may be.
func TestNoSecretsInTraces(t *testing.T) {
	o := signIn(t)
	all := fmt.Sprintf("%+v", o.metrics)
	for _, s := range o.spans {
		all += fmt.Sprintf("%s %v %v %v\n", s.Name, s.Status, s.Attributes, s.Events)
	}
	token := o.idp.LastRequest(authtest.Token)
	secrets := []string{o.idp.ClientSecret, token.Form.Get("code"), token.Form.Get("code_verifier"), "ada@example.com", "Lovelace",
		o.idp.LastRequest(authtest.Authorize).Form.Get("state"), o.idp.LastRequest(authtest.Authorize).Form.Get("nonce"),
		strings.TrimPrefix(o.idp.LastRequest(authtest.Userinfo).Header.Get("Authorization"), "Bearer ")}
	for i, secret := range secrets {
		if secret == "" || strings.Contains(all, secret) {
			t.Errorf("secret %d, %q, is empty or was sent to the collector", i, secret)
		}
	}
	for _, e := range []authtest.Endpoint{authtest.Discovery, authtest.Token, authtest.Userinfo} {
		for _, r := range o.idp.Requests(e) {
			if r.Header.Get("Traceparent") != "" {
				t.Errorf("the %s endpoint received the trace id %s", e, r.Header.Get("Traceparent"))
			}
		}
	}
}

func TestSignInsAreCounted(t *testing.T) {
	o := signIn(t)
	counted := map[string]int64{}
	timed := uint64(0)
	for _, scope := range o.metrics.ScopeMetrics {
		for _, m := range scope.Metrics {
			switch data := m.Data.(type) {
			case metricdata.Sum[int64]:
				for _, point := range data.DataPoints {
					event, _ := point.Attributes.Value("ginauth.event")
					provider, _ := point.Attributes.Value("ginauth.provider")
					code, _ := point.Attributes.Value("ginauth.code")
					if m.Name == "ginauth.events" {
						counted[event.AsString()+" "+provider.AsString()+" "+code.AsString()] = point.Value
					}
				}
			case metricdata.Histogram[float64]:
				for _, point := range data.DataPoints {
					if provider, _ := point.Attributes.Value(attribute.Key("ginauth.provider")); m.Name == "ginauth.provider.duration" && provider.AsString() == "corp" {
						timed += point.Count
					}
				}
			}
		}
	}
	for _, want := range []string{"sign_in_started corp ", "sign_in_succeeded corp ", "sign_in_failed corp state_invalid"} {
		if counted[want] != 1 {
			t.Errorf("%q was counted %d times: %v", want, counted[want], counted)
		}
	}
	if len(counted) != 3 || timed != 1 {
		t.Errorf("counted %v, and timed %d sign-ins", counted, timed)
	}
}
