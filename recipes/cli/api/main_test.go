package main

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/gin-gonic/gin"
	"github.com/ginauth/ginauth/authtest"
)

func TestTheAPITakesTokensForItself(t *testing.T) {
	gin.SetMode(gin.TestMode)
	idp, err := authtest.Start(authtest.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(idp.Close)
	app, err := application(base, idp.Issuer)
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		header http.Header
		status int
	}{
		"a token":                {authtest.Bearer(idp, base, "ada", "orders:read"), http.StatusOK},
		"without the scope":      {authtest.Bearer(idp, base, "ada"), http.StatusForbidden},
		"for another API":        {authtest.Bearer(idp, "http://localhost:8081", "ada", "orders:read"), http.StatusUnauthorized},
		"a request without any":  {http.Header{}, http.StatusUnauthorized},
		"a page without a token": {http.Header{"Accept": {"text/html"}, "Sec-Fetch-Mode": {"navigate"}}, http.StatusUnauthorized},
	} {
		r := httptest.NewRequest(http.MethodGet, base+"/orders", nil)
		r.Header = test.header
		w := httptest.NewRecorder()
		if app.ServeHTTP(w, r); w.Code != test.status {
			t.Errorf("%s: %d %s", name, w.Code, w.Body)
		}
	}
}
