package ginauth

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/ginauth/ginauth/internal/cookie"
	"github.com/ginauth/ginauth/internal/printable"
	"github.com/ginauth/ginauth/internal/seal"
	"github.com/ginauth/ginauth/internal/wire"
)

const (
	carryLife  = time.Minute
	carrySlots = 4 // cookies at most, however many answers arrive at once
)

// carrier takes the answer of a form_post provider over to a GET. The POST
// comes from another site, so the browser sends no SameSite=Lax cookie with it
// and the attempt cannot be seen; the GET that it is redirected to brings them.
// Nothing is checked or skipped here: the GET checks everything.
type carrier struct {
	box    *seal.Box
	jar    cookie.Jar
	prefix string
	now    func() time.Time
}

// carried are the fields of an answer that anything reads, and how long they
// may be: what is longer than anybody needs is left behind, so that a chatty
// provider does not fill the cookie. What has no limit must come whole.
var carried = map[string]int{
	"state": 0, "code": 0, "iss": 0, "error": 0, "user": 1024, "device_id": 256,
}

// slot names the cookie for a state: a few serve all, since other sites can
// make a browser send such a POST.
func (k *carrier) slot(state string) string {
	n := 0
	if state != "" {
		n = strings.IndexByte(base64url, state[0]) & (carrySlots - 1)
	}
	return k.prefix + strconv.Itoa(n)
}

// put seals an answer into its cookie.
func (k *carrier) put(out http.Header, form url.Values) error {
	kept := url.Values{}
	for name, limit := range carried {
		if v := form[name]; limit == 0 || len(v) == 1 && len(v[0]) <= limit {
			kept[name] = v
		}
	}
	kept.Set("error_description", printable.Clip(form.Get("error_description")))
	name := k.slot(form.Get("state"))
	text := k.box.Seal(wire.AppendString(wire.AppendTime(nil, k.now()), kept.Encode()), name)
	if len(name)+len(text) > cookieLimit {
		return &Error{Code: ErrBadRequest, Op: "form_post", Reason: "the provider's answer is larger than a cookie", status: http.StatusRequestEntityTooLarge}
	}
	k.jar.Set(out, name, text, carryLife)
	return nil
}

// take returns the answer for a state, and uses its cookie up.
func (k *carrier) take(out, in http.Header, state string) (url.Values, bool) {
	name := k.slot(state)
	for _, value := range cookie.Values(in, name, copiesMost) {
		plain, _, err := k.box.Open(value, name)
		if err != nil {
			continue
		}
		r := wire.NewReader(plain)
		at, query := r.Time(), r.String()
		form, err := url.ParseQuery(query)
		age := k.now().Sub(at)
		if r.OK() && err == nil && age <= carryLife && age >= -leeway && form.Get("state") == state {
			k.jar.Expire(out, name)
			return form, true
		}
	}
	return nil, false
}
