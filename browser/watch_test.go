package browser

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// What the other tests rely on to be noticed has to be noticed.
func TestComplaintsAreHeard(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		w.Header().Set("Content-Security-Policy", "default-src 'none'; img-src *; script-src 'nonce-n'")
		_, _ = fmt.Fprint(w, `<!doctype html><html lang="en"><title>Bad</title><style>p { color: red }</style><h1>Bad</h1>
<img alt="" src="http://elsewhere.invalid/x.png"><script nonce="n">console.error("told so")</script>`)
	}))
	t.Cleanup(server.Close)
	each(t, func(t *testing.T, b *browser) {
		x := b.tab(t, "default")
		x.get(server.URL)
		x.at(server.URL+"/", "Bad")
		for _, want := range []string{"style", "told so", "asked elsewhere.invalid"} {
			x.until(func(page) bool { return strings.Contains(strings.Join(x.complaints(), "\n"), want) }, "a complaint about "+want)
		}
		x.call("browsingContext.close", args{}, nil)
	})
}
