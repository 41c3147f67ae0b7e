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

// A provider says in its own words what it refuses: in error_description (RFC 6749,
// sections 4.1.2.1 and 5.2) and in WWW-Authenticate (RFC 6750, section 3). They go
// into the cause of an Error, for the log alone: quoted, since they may be an
// attacker's, cut, and without the secrets that were sent.

const (
	wordsRead     = 2000 // bytes that are looked through for secrets, before they are cut for the log
	secretRemains = 8    // bytes of a secret that are removed, even if the rest is missing
)

// secrets are what must not reach a log, whatever a provider answers.
type secrets []string

// quote returns a provider's words as a log may have them.
func (s secrets) quote(words string) string {
	if len(words) > wordsRead {
		words = words[:wordsRead]
	}
	return strconv.QuoteToASCII(printable.Clip(s.remove(words)))
}

// remove replaces what is a secret, or a part of one.
func (s secrets) remove(words string) string {
	spelled := s.spelled()
	var b strings.Builder
	for words != "" {
		n := 0
		for _, secret := range spelled {
			n = max(n, overlap(words, secret))
		}
		if n > 0 {
			b.WriteString("[removed]")
		} else {
			n = 1
			b.WriteByte(words[0])
		}
		words = words[n:]
	}
	return b.String()
}

// spelled returns the secrets as they are, percent-encoded and in base64.
func (s secrets) spelled() (all []string) {
	for _, secret := range s {
		if secret == "" {
			continue
		}
		raw := []byte(secret)
		all = append(all, secret, url.QueryEscape(secret), base64.RawStdEncoding.EncodeToString(raw), base64.RawURLEncoding.EncodeToString(raw))
	}
	return all
}

// overlap returns how many bytes at the beginning of words are a part of secret,
// and 0 if they are too few to say anything.
func overlap(words, secret string) int {
	n := min(len(secret), secretRemains)
	if len(words) < n || !strings.Contains(secret, words[:n]) {
		return 0
	}
	for n < len(words) && strings.Contains(secret, words[:n+1]) {
		n++
	}
	return n
}

// publicParams are the parameters of a token request that are no secret.
var publicParams = []string{"grant_type", "redirect_uri", "client_id", "scope"}

// sentSecrets returns what a request bears that must not be told.
func (c *Client) sentSecrets(req *http.Request) (s secrets) {
	form := req.URL.Query()
	if req.GetBody != nil {
		body, _ := req.GetBody() // of a text: it cannot fail
		text, _ := io.ReadAll(body)
		form, _ = url.ParseQuery(string(text))
	}
	for name, values := range form {
		if !slices.Contains(publicParams, name) && name != c.cfg.Quirks.ClientIDParam {
			s = append(s, values...)
		}
	}
	if _, password, ok := req.BasicAuth(); ok {
		secret, _ := url.QueryUnescape(password)
		s = append(s, secret)
	}
	_, credentials, _ := strings.Cut(req.Header.Get("Authorization"), " ")
	s = append(s, credentials)
	for _, value := range c.cfg.Quirks.Header {
		s = append(s, value)
	}
	return s
}

// describe returns what a provider says about an error as a cause, or nil if it
// says nothing.
func (s secrets) describe(description string) error {
	if description == "" {
		return nil
	}
	return errors.New("the provider's description: " + s.quote(description))
}

// describeAnswer is describe for an answer with a status of failure, whose body may
// say something.
func (s secrets) describeAnswer(header http.Header, body string) error {
	var said []string
	if challenges := header["Www-Authenticate"]; len(challenges) > 0 {
		said = append(said, "WWW-Authenticate: "+s.quote(strings.Join(challenges, ", ")))
	}
	if answer, err := strictjson.Object(body); err == nil {
		for _, name := range []string{"error", "error_description"} {
			if text, _ := answer[name].(string); text != "" {
				said = append(said, name+": "+s.quote(text))
			}
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
