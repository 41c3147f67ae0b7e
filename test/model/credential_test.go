package model

import (
	"errors"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/gin-gonic/gin"

	"github.com/ginauth/ginauth"
)

// keys are the keys of Authenticate, with the code that it returns; "" is the robot's key.
var keys = []struct {
	key  string
	code ginauth.Code
}{
	{"robot", ""}, {"robot", ""}, {"revoked", ginauth.ErrInvalidToken}, {"suspended", ginauth.ErrForbidden}, {"down", ginauth.ErrStoreUnavailable},
	{"panic", ginauth.ErrStoreUnavailable}, {"nowhere", ginauth.ErrSessionError}, {"unknown", ginauth.ErrInvalidToken},
}

// authenticate is the application's hook. A key is sent as a bearer token, or in a separate
// header.
func (w *world) authenticate(c *gin.Context) (*ginauth.User, error) {
	key := c.GetHeader("X-Key")
	if token, ok := strings.CutPrefix(c.GetHeader("Authorization"), "Bearer "); ok {
		key = token
	}
	w.keysAsked++
	switch key {
	case "robot":
		return &ginauth.User{Provider: w.entries[0].name, Subject: "robot"}, nil
	case "revoked":
		return nil, ginauth.ErrInvalidToken
	case "suspended":
		return nil, ginauth.ErrForbidden
	case "down":
		return nil, errors.New("the table of keys is down")
	case "panic":
		panic("in the table of keys")
	case "nowhere":
		return &ginauth.User{Provider: "nowhere", Subject: "robot"}, nil
	}
	return nil, nil
}

// credential sends a key beside the cookies of a device. In no case is the session affected.
func (w *world) credential(a, b, c int) {
	if len(w.entries) == 0 {
		return
	}
	i, of := w.pick(a), w.entries[0]
	d, k := w.devices[i], keys[b%len(keys)]
	method, path := "GET", "/me"
	if c%3 > 0 {
		method, path = "POST", []string{"/note?note=robot", "/leave"}[c%3-1]
	}
	if path == "/me" && c/3%3 == 0 { // where a robot cannot satisfy the check
		path = demandingPages[b/len(keys)%len(demandingPages)].path
	}
	r := httptest.NewRequest(method, machineURL+path, nil)
	foreign := c/3%4 == 0
	if foreign {
		r.Header.Set("Origin", "https://evil.example")
	}
	bearer := c/12%2 == 0 || k.key == "unknown" // without a bearer token, an unknown key is no key
	if bearer {
		r.Header.Set("Authorization", "Bearer "+k.key)
	} else {
		r.Header.Set("X-Key", k.key)
	}
	w.note("device %d sends the key %s to %s %s, as a bearer token: %v, from elsewhere: %v", i, k.key, method, path, bearer, foreign)

	want, status, ran := k.code, http.StatusOK, w.ran
	switch {
	case path == "/leave" && foreign: // Logout checks the origin first
		want = ginauth.ErrCrossOrigin
	case want == "" && method == "POST" && foreign && !bearer:
		want = ginauth.ErrCrossOrigin
	case want == "" && path == "/note?note=robot" && foreign: // as Update does
		want, ran = ginauth.ErrCrossOrigin, ran+1
	case want == "" && method == "POST":
		want = ginauth.ErrBadRequest
		if path != "/leave" {
			ran++
		}
	case want == "" && path != "/me":
		want = ginauth.ErrForbidden
	case want == "":
		ran++
	}
	jar, asked := maps.Clone(d.jar), w.keysAsked
	got := w.send(d, r)
	w.expect(got, want, status)
	if want == "" && !strings.HasPrefix(got.Body.String(), of.name+" | "+w.idps[of.idp].Issuer+" | robot | ") {
		w.fail("the robot is %q", got.Body)
	}
	if w.ran != ran {
		w.fail("%d protected handlers ran, want %d", w.ran, ran)
	}
	if n := w.keysAsked - asked; n > 1 {
		w.fail("Authenticate was asked %d times", n)
	}
	if !maps.Equal(jar, d.jar) {
		w.fail("the cookies changed from %v to %v", jar, d.jar)
	}
}
