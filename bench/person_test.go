package bench_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"time"

	"github.com/gin-gonic/gin"
)

// person is the data of a user that applications without ginauth keep.
type person struct {
	ID       string   `json:"sub"`
	Name     string   `json:"name"`
	Email    string   `json:"email"`
	Picture  string   `json:"picture"`
	Provider string   `json:"provider"`
	Roles    []string `json:"groups"`
	Expires  int64    `json:"exp"`
}

const (
	adaID    = "110169484474386276334"
	adaRoles = 5
)

// ada is the user of all measurements.
func ada() person {
	return person{
		ID: adaID, Name: "Ada Lovelace", Email: "ada.lovelace@example.com", Provider: "corp",
		Picture: "https://lh3.example.com/a/ACg8ocJq3Xw0Vt0p1Zb6n4KfXo3yq2s9m8LwQf7uE5r4T1y2Hd6Gk3Pz0b=s96-cc0",
		Roles:   []string{"employee", "engineering", "release-manager", "on-call", "admin"},
		Expires: time.Now().Add(24 * time.Hour).Unix(),
	}
}

// valid reports whether the session has not expired, which every guard here checks in addition to a
// signature.
func (p *person) valid() bool { return p.Expires > time.Now().Unix() }

const (
	page    = "/orders"
	userKey = "user"
	key     = "the key of the benchmarks (32 B)" // of each session store
	// others are the two cookies before that of the session.
	others = "theme=dark; _ga=GA1.2.1234567890.1700000000; "
)

// app is an application with a signed-in user.
type app struct {
	handler http.Handler
	cookies string        // the Cookie header
	turns   []string      // the Cookie headers of several browsers, which take turns; or nil
	another func() string // signs in with another browser and returns its Cookie header; nil if that makes no difference
	set     int           // size of the Set-Cookie headers that set the cookies, in bytes
}

// paths are the routes of every application here.
var paths = []string{"/", page, "/orders/:id", "/orders/:id/items", "/customers", "/customers/:id", "/reports", "/settings", "/help"}

// routes registers the routes behind a guard. The handler responds with 204 if it got the right user:
// any other response fails the benchmark.
func routes(engine *gin.Engine, handler gin.HandlerFunc, guard ...gin.HandlerFunc) *gin.Engine {
	group := engine.Group("", guard...)
	for _, path := range paths {
		group.GET(path, handler)
	}
	return engine
}

// greet is the handler behind guards that put a *person into the context.
func greet(c *gin.Context) {
	v, _ := c.Get(userKey)
	u, _ := v.(*person)
	if u == nil {
		c.Status(http.StatusInternalServerError)
		return
	}
	answer(c, u.ID, len(u.Roles))
}

func answer(c *gin.Context, id string, roles int) {
	if id != adaID || roles != adaRoles {
		c.Status(http.StatusInternalServerError)
		return
	}
	c.Status(http.StatusNoContent)
}

// admit puts the user into the context, or aborts the request.
func admit(c *gin.Context, p *person, ok bool) {
	if !ok || !p.valid() {
		c.AbortWithStatus(http.StatusUnauthorized)
		return
	}
	c.Set(userKey, p)
}

// signIn makes one request to a handler that signs ada in, and returns the cookies that it sets.
func signIn(enter gin.HandlerFunc, before ...gin.HandlerFunc) (cookies string, set int) {
	engine := gin.New()
	engine.POST("/in", append(before, enter)...)
	return cookiesOf(engine, httptest.NewRequest("POST", "/in", nil))
}

func cookiesOf(h http.Handler, r *http.Request) (cookies string, set int) {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	var pairs []string
	for _, line := range w.Header()["Set-Cookie"] {
		set += len("Set-Cookie: ") + len(line) + len("\r\n")
		pair, _, _ := strings.Cut(line, ";")
		pairs = append(pairs, pair)
	}
	return strings.Join(pairs, "; "), set
}
