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
	formPostSlots   = 4                           // responses that are carried at the same time
	formPostRoom    = cookieLimit / formPostSlots // bytes of each cookie
)

// formPosts carries the response of a form_post provider (OAuth 2.0 Form Post Response Mode)
// over to a GET. The POST is cross-site, so the browser sends no SameSite=Lax cookies with it,
// and the login state is not available; the browser sends the cookies with the GET that
// follows. The POST checks nothing, and the GET checks everything.
//
// Any site can make a browser send such a POST and prevent the GET, and the POST does not show
// which of these cookies the browser already has. So all of them together stay below 4 KB:
// there are four, and a response larger than a quarter of that is sealed into the URL of the
// GET instead.
type formPosts struct {
	sealedCookie
	prefix string // of the cookies' names
}

// formPostFields lists the fields of a response that are read, with their maximum lengths.
// Longer values are dropped, so that a verbose provider does not fill the cookie. 0 means no
// limit: the sign-in needs the field.
var formPostFields = map[string]int{
	"state": 0, "code": 0, "iss": 0, "error": 0, "user": 1024, "device_id": 256,
}

// slot returns the name of the cookie for a state. All states share formPostSlots cookies.
func (k *formPosts) slot(state string) string {
	n := 0
	if state != "" {
		n = strings.IndexByte(base64url, state[0]) & (formPostSlots - 1)
	}
	return k.prefix + strconv.Itoa(n)
}

// save seals a response into its cookie, or returns it sealed if it is too large for a cookie.
func (k *formPosts) save(out http.Header, form url.Values) (sealed string) {
	kept := map[string]string{"error_description": printable.Clip(form.Get("error_description"))}
	for name, limit := range formPostFields {
		if v := form[name]; len(v) == 1 && (limit == 0 || len(v[0]) <= limit) {
			kept[name] = v[0]
		}
	}
	// Not form-encoded: a code may contain / and +, which would take three bytes each.
	contents := wire.AppendMap(wire.AppendTime(k.contents(), k.now()), kept)
	if name := k.slot(form.Get("state")); k.size(name, contents) <= formPostRoom {
		k.set(out, name, contents)
		return ""
	}
	return k.box.Seal(contents, k.prefix)
}

// take returns the response for a state, from sealed if that is not empty, or else from its
// cookie, which it deletes. A response in the URL cannot be used twice, either, because the
// login state is consumed.
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

// carryResponse answers the POST of a form_post provider: it stores the response in a cookie
// and redirects the browser to a GET, with which the browser sends all cookies.
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

// carriedResponse returns the response of a form_post from the GET that follows it.
func (a *Auth) carriedResponse(c *gin.Context) url.Values {
	query := c.Request.URL.Query()
	state := query["carried"]
	if response, ok := a.formPosts.take(c.Writer.Header(), c.Request.Header, state[0], query.Get("response")); ok {
		return response
	}
	return url.Values{"state": state} // the error about the login state explains more
}
