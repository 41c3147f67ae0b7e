package main

import (
	"context"

	"github.com/ginauth/ginauth"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// count returns a function for Hooks.OnEvent that counts each event.
func count(registry prometheus.Registerer) func(context.Context, ginauth.Event) {
	metrics := promauto.With(registry)
	events := metrics.NewCounterVec(prometheus.CounterOpts{
		Name: "ginauth_events_total", Help: "Sign-ins, sign-outs and refusals.",
	}, []string{"event", "provider", "code", "by"})
	seconds := metrics.NewHistogramVec(prometheus.HistogramOpts{
		Name: "ginauth_provider_seconds", Help: "Response time of the provider during a sign-in.",
		Buckets: []float64{0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10},
	}, []string{"provider"})
	return func(_ context.Context, e ginauth.Event) {
		events.WithLabelValues(string(e.Name), e.Provider, string(e.Code), string(e.By)).Inc()
		if e.Duration > 0 {
			seconds.WithLabelValues(e.Provider).Observe(e.Duration.Seconds())
		}
	}
}
