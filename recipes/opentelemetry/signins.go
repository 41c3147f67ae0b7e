package main

import (
	"context"
	"net/http"

	"github.com/ginauth/ginauth"
	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
)

// observe returns a function for Hooks.OnEvent that counts each event, and adds
// it to the span of its request.
func observe() (func(context.Context, ginauth.Event), error) {
	meter := otel.Meter("github.com/ginauth/ginauth")
	events, err := meter.Int64Counter("ginauth.events", metric.WithDescription("Sign-ins, sign-outs and refusals."))
	if err != nil {
		return nil, err
	}
	seconds, err := meter.Float64Histogram("ginauth.provider.duration", metric.WithUnit("s"),
		metric.WithDescription("Response time of the provider during a sign-in."),
		metric.WithExplicitBucketBoundaries(0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10))
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context, e ginauth.Event) {
		provider := attribute.String("ginauth.provider", e.Provider)
		labels := []attribute.KeyValue{attribute.String("ginauth.event", string(e.Name)), provider,
			attribute.String("ginauth.code", string(e.Code)), attribute.String("ginauth.by", string(e.By))}
		events.Add(ctx, 1, metric.WithAttributes(labels...))
		if e.Duration > 0 {
			seconds.Record(ctx, e.Duration.Seconds(), metric.WithAttributes(provider))
		}
		trace.SpanFromContext(ctx).AddEvent(string(e.Name), trace.WithAttributes(append(labels,
			attribute.String("ginauth.user", e.User), attribute.String("ginauth.request_id", e.RequestID))...))
	}, nil
}

// tracedClient returns a client for Options.HTTPClient that records a span for each
// request to a provider. It sends no trace ids to providers.
func tracedClient() *http.Client {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxResponseHeaderBytes = 64 << 10
	return &http.Client{Transport: otelhttp.NewTransport(transport,
		otelhttp.WithPropagators(propagation.NewCompositeTextMapPropagator()))}
}
