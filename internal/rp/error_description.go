package rp

import (
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/ginauth/ginauth/internal/printable"
	"github.com/ginauth/ginauth/internal/strictjson"
)

// A provider describes an error in its own words in error_description (RFC 6749, sections 4.1.2.1
// and 5.2) and in WWW-Authenticate (RFC 6750, section 3). RFC 6749 calls it "Human-readable ASCII
// [USASCII] text providing additional information, used to assist the client developer in
// understanding the error that occurred." So it goes into the cause of an Error, which is only
// logged: it is not shown to users, and no decision depends on it.
//
// "Values for the "error_description" parameter MUST NOT include characters outside the
// set %x20-21 / %x23-5B / %x5D-7E." From the authorization endpoint the text comes through the
// browser, where anyone can forge it. It is therefore quoted, cut, and stripped of the secrets
// that were sent.

const (
	descriptionRead = 2000 // bytes that are searched for secrets, before they are cut for the log
	secretRemains   = 8    // the shortest part of a secret that is removed, in bytes
)

// secrets are texts that must not reach a log, even if a provider returns them: many repeat the
// parameter that they reject. RFC 6749, 10.3: "Access token credentials […] MUST be
// kept confidential in transit and storage, and only shared among the authorization
// server, the resource servers the access token is valid for, and the client to whom the
// access token is issued."
type secrets []string

// quote returns a provider's text in a form that is safe to log.
func (s secrets) quote(text string) string {
	if len(text) > descriptionRead {
		text = text[:descriptionRead]
	}
	return strconv.QuoteToASCII(printable.Clip(s.remove(text)))
}

// remove replaces secrets and parts of them.
func (s secrets) remove(text string) string {
	spelled := s.spelled()
	var b strings.Builder
	for text != "" {
		n := 0
		for _, secret := range spelled {
			n = max(n, overlap(text, secret))
		}
		if n > 0 {
			b.WriteString("[removed]")
		} else {
			n = 1
			b.WriteByte(text[0])
		}
		text = text[n:]
	}
	return b.String()
}

// spelled returns the secrets unencoded, percent-encoded and in base64.
func (s secrets) spelled() (all []string) {
	for _, secret := range s {
		raw := []byte(secret)
		all = append(all, secret, url.QueryEscape(secret), base64.RawStdEncoding.EncodeToString(raw), base64.RawURLEncoding.EncodeToString(raw))
	}
	return all
}

// overlap returns how many bytes at the beginning of text are a part of secret, or 0 if they are
// too few to be significant.
func overlap(text, secret string) int {
	n := min(len(secret), secretRemains)
	if len(text) < n || !strings.Contains(secret, text[:n]) {
		return 0
	}
	for n < len(text) && strings.Contains(secret, text[:n+1]) {
		n++
	}
	return n
}

// publicParams are the parameters of a token request that are not secret, in addition to
// Quirks.ClientIDParam. All others are treated as secrets: Quirks.EditToken may add a key.
var publicParams = []string{"grant_type", "redirect_uri", "client_assertion_type", "scope"}

// sentSecrets returns the secrets in a request.
func (c *Client) sentSecrets(req *http.Request) (s secrets) {
	form := req.URL.Query()
	if req.GetBody != nil {
		body, _ := req.GetBody() // of a strings.Reader: it cannot fail
		text, _ := io.ReadAll(body)
		form, _ = url.ParseQuery(string(text))
	}
	for name, values := range form {
		if !slices.Contains(publicParams, name) && name != c.cfg.Quirks.ClientIDParam {
			s = append(s, values...)
		}
	}
	// RFC 6749, 2.3.1: the secret was form-encoded before it went into the header. A provider may
	// return it encoded or decoded.
	_, password, _ := req.BasicAuth()
	secret, _ := url.QueryUnescape(password)
	_, credentials, _ := strings.Cut(req.Header.Get("Authorization"), " ")
	s = append(s, secret, credentials) // without the header both are empty, and match nothing
	for _, value := range c.cfg.Quirks.Header {
		s = append(s, value)
	}
	return s
}

// describe returns a provider's description of an error as a cause, or nil if it is empty.
func (s secrets) describe(description string) error {
	if description == "" {
		return nil
	}
	return errors.New("the provider's description: " + s.quote(description))
}

// describeAnswer is describe for a response with an error status. It reads the descriptions from
// its WWW-Authenticate header and its body.
func (s secrets) describeAnswer(header http.Header, body string) error {
	var said []string
	// RFC 6750, 3: "If the protected resource request does not include authentication
	// credentials or does not contain an access token that enables access to the protected
	// resource, the resource server MUST include the HTTP "WWW-Authenticate" response header
	// field". It is quoted whole, without parsing its attributes.
	if challenges := header["Www-Authenticate"]; len(challenges) > 0 {
		said = append(said, "WWW-Authenticate: "+s.quote(strings.Join(challenges, ", ")))
	}
	answer, _ := strictjson.Object(body) // nil if the body is not a JSON object
	for _, name := range []string{"error", "error_description"} {
		if text, _ := answer[name].(string); text != "" {
			said = append(said, name+": "+s.quote(text))
		}
	}
	if len(said) == 0 {
		return nil
	}
	return errors.New(strings.Join(said, "; "))
}

// saying adds the provider's own words to the cause of an Error; nil adds nothing.
func (e *Error) saying(words error) *Error {
	if words != nil {
		e.Cause = fmt.Errorf("%w: %w", e.Cause, words)
	}
	return e
}
