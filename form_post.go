package ginauth

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/ginauth/ginauth/internal/printable"
	"github.com/ginauth/ginauth/internal/wire"
)

const (
	formPostLife    = time.Minute
	formPostVersion = 2
	formPostSlots   = 4                           // responses that are carried at a time
	formPostRoom    = cookieLimit / formPostSlots // bytes of the cookie of each
)

// formPosts carries the response of a form_post provider (OAuth 2.0 Form Post
// Response Mode) over to a GET. The POST comes from another site, so the browser
// sends no SameSite=Lax cookie with it and the login state cannot be seen; the
// GET that follows brings the cookies. Nothing is checked or skipped here: the
// GET checks everything.
//
// Any site can make a browser send such a POST, and keep it from sending the GET,
// and which cookies the browser has is not known here. So all of them together
// stay below 4 KB: there are four, and a response that is larger than a quarter of
// that goes into the address of the GET, sealed as well.
type formPosts struct {
	sealedCookie
	prefix string // of the cookies' names
}

// formPostFields are the fields of a response that anything reads, and how long
// they may be: longer ones are left behind, so that a chatty provider does not
// fill the cookie. A field without a limit must come whole.
var formPostFields = map[string]int{
	"state": 0, "code": 0, "iss": 0, "error": 0, "user": 1024, "device_id": 256,
}

// slot names the cookie for a state: a few serve all.
func (k *formPosts) slot(state string) string {
	n := 0
	if state != "" {
		n = strings.IndexByte(base64url, state[0]) & (formPostSlots - 1)
	}
	return k.prefix + strconv.Itoa(n)
}

// save seals a response into its cookie, or returns it sealed if it is too large
// for that.
func (k *formPosts) save(out http.Header, form url.Values) (sealed string) {
	kept := map[string]string{"error_description": printable.Clip(form.Get("error_description"))}
	for name, limit := range formPostFields {
		if v := form[name]; len(v) == 1 && (limit == 0 || len(v[0]) <= limit) {
			kept[name] = v[0]
		}
	}
	// Not as a form: a code may have / and + in it, which take three bytes there.
	contents := wire.AppendMap(wire.AppendTime(k.contents(), k.now()), kept)
	if name := k.slot(form.Get("state")); k.size(name, contents) <= formPostRoom {
		k.set(out, name, contents)
		return ""
	}
	return k.box.Seal(contents, k.prefix)
}

// take returns the response for a state, from the address if it is there, or from
// its cookie, which it uses up. A response in the address is used up with the
// login state, as every response is.
func (k *formPosts) take(out, in http.Header, state, sealed string) (form url.Values, ok bool) {
	accept := func(r *wire.Reader) bool {
		form = url.Values{}
		for name, value := range r.Map() {
			form.Set(name, value)
		}
		return form.Get("state") == state
	}
	if sealed == "" {
		return form, k.sealedCookie.take(out, in, k.slot(state), accept)
	}
	return form, k.accepts(k.prefix, sealed, accept)
}

// carryResponse answers the POST of a form_post provider: the response goes into
// a cookie, and the browser to a GET that brings it, with all the others.
func (a *Auth) carryResponse(c *gin.Context, at *callbackPath, response url.Values) error {
	sealed := a.formPosts.save(c.Writer.Header(), response)
	location := at.uri + "?carried=" + url.QueryEscape(response.Get("state"))
	if sealed != "" {
		location += "&response=" + sealed
	}
	if len(location) > maxAddress {
		return &Error{Code: ErrBadRequest, ID: "form_post.too_large", Op: "form_post", Reason: "the provider's response does not fit into a URL of 8 KB",
			Fix: `set ResponseMode to "query", or have the provider send less data`, status: http.StatusRequestEntityTooLarge}
	}
	redirect(c, location+"#")
	return nil
}

// carriedResponse returns the response that the GET after a form_post brings.
func (a *Auth) carriedResponse(c *gin.Context) url.Values {
	query := c.Request.URL.Query()
	state := query["carried"]
	if response, ok := a.formPosts.take(c.Writer.Header(), c.Request.Header, state[0], query.Get("response")); ok {
		return response
	}
	return url.Values{"state": state} // what is wrong with the login state explains more
}
