package ginauth

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"
)

// onlySlash stands at the end of a reason that is nothing but a slash.
const onlySlash = ": only the final / differs"

// inWords parts an error of this package from its cause, which quotes the token
// and so is for the log alone.
func inWords(err error) (reason string, cause error) {
	reason, cause = err.Error(), errors.Unwrap(err)
	if cause != nil {
		reason = strings.TrimSuffix(reason, ": "+cause.Error())
	}
	return reason, cause
}

// clockReading is what a provider's clock showed in an answer, and ours when it
// came.
type clockReading struct {
	date string // the Date header
	came time.Time
}

// skewed says whose clock is ahead, where that can matter.
func (r clockReading) skewed() string {
	theirs, err := http.ParseTime(r.date)
	if err != nil {
		return ""
	}
	skew := theirs.Sub(r.came)
	const of = ", which is %v %s the provider's"
	switch by := skew.Abs().Round(time.Second); {
	case skew > leeway:
		return fmt.Sprintf(of, by, "behind")
	case skew < -leeway:
		return fmt.Sprintf(of, by, "ahead of")
	}
	return ""
}

// idTokenFix is what helps most often, by what a reason speaks of.
func (c *client) idTokenFix(reason string) string {
	switch {
	case strings.Contains(reason, onlySlash):
		toggled := strings.TrimSuffix(c.provider.Issuer, "/")
		if toggled == c.provider.Issuer {
			toggled += "/"
		}
		return fmt.Sprintf("set Issuer to %q", toggled)
	case strings.Contains(reason, "wrong form"):
		return "see whether a claim mapping at the provider gives one of the protocol's claims (iss, sub, aud, exp, …) another type"
	case strings.Contains(reason, "clock"):
		return "set this machine's clock (NTP)"
	case strings.Contains(reason, "algorithm"):
		return "set the client's signing algorithm at the provider to RS256 or ES256"
	case strings.Contains(reason, "audience"):
		return "ClientID and the ID token come from different applications: check ClientID"
	case strings.Contains(reason, "issuer"):
		return "set Issuer to exactly what the provider puts into its tokens"
	case strings.Contains(reason, "signature"):
		return "check Issuer and JWKSURL: the keys must be those of the provider that signs (not of its test environment, say)"
	case strings.Contains(reason, "nonce"):
		return "start again; only for a provider that is known not to send the nonce back, set Quirks.DisableNonce"
	}
	return ""
}

// untrusted says what is wrong with a certificate, by what package fetch says.
func untrusted(detail string) (reason, fix string) {
	reason = "the provider's certificate is not trusted: " + strings.TrimPrefix(detail, "tls: ")
	switch {
	case strings.Contains(detail, "another host"):
		return reason, "write the host name that the certificate is for into Issuer and the endpoints"
	case strings.Contains(detail, "expired"):
		return reason, "have the provider's certificate renewed, and check this machine's clock"
	}
	return reason, "for a private certificate authority, pass Options.HTTPClient with its RootCAs"
}
