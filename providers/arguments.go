package providers

import (
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/internal/errid"
	"github.com/ginauth/ginauth/internal/weburl"
)

// The arguments of a preset become part of a URL: anyone who could write another tenant, host
// or path into it would choose the provider. Each check returns nil, or an error for
// Provider.Err with the argument's name.

const alphanumeric = "abcdefghijklmnopqrstuvwxyz0123456789"

// host accepts a host name in lower case, with or without a port.
func host(name, value string) error {
	return unless(isHost(value), "not_a_host", name, value, "is not a host name", "use only the host name, in lower case: login.example.com")
}

func isHost(value string) bool {
	hostname, port, hasPort := strings.Cut(value, ":")
	n, err := strconv.ParseUint(port, 10, 16)
	ok := len(hostname) <= 253 && (!hasPort || err == nil && n > 0)
	for label := range strings.SplitSeq(hostname, ".") {
		ok = ok && len(label) >= 1 && len(label) <= 63 && strings.Trim(label, alphanumeric+"-") == "" && strings.Trim(label, "-") == label
	}
	return ok
}

// serverError accepts the host of a self-hosted server or, for development, its origin on
// loopback: "http://localhost:8180".
func serverError(name, value string) error {
	return unless(isHost(value) || onLoopback(value), "not_a_host", name, value, "is not a host name",
		"use only the host name, in lower case: login.example.com; for development, a loopback URL: http://localhost:8180")
}

// hostError is serverError for functions whose argument has the name host.
func hostError(value string) error { return serverError("host", value) }

// onLoopback reports whether a text is an origin on loopback.
func onLoopback(value string) bool {
	u, err := url.Parse(value)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && weburl.HasHost(u) && weburl.IsLoopback(u.Hostname()) && weburl.Origin(u) == value
}

// serverAt returns the origin of a host that serverError accepts.
func serverAt(host string) string {
	if onLoopback(host) {
		return host
	}
	return "https://" + host
}

// segment accepts a text that is valid as one segment of a path: a realm, a slug, an id.
func segment(name, value string) error {
	lower := strings.ToLower(value)
	ok := len(value) >= 1 && len(value) <= 128 && strings.Trim(lower, alphanumeric+"-_.~") == "" && strings.Trim(value, ".") == value && !strings.Contains(value, "..")
	return unless(ok, "not_a_path_segment", name, value, "is not valid in a URL without escaping", "use only letters, digits and -_.~, or set the URLs of the Provider explicitly")
}

// label accepts one label of a host name: a region, a shop, an organization.
func label(name, value string) error {
	ok := len(value) >= 1 && len(value) <= 63 && strings.Trim(value, alphanumeric+"-") == "" && strings.Trim(value, "-") == value
	return unless(ok, "not_a_host_label", name, value, "is not valid in a host name", "use only lower-case letters, digits and -")
}

// guid accepts a GUID in lower case, as Microsoft writes them into tokens.
func guid(name, value string) error {
	return unless(isGUID(value), "not_a_guid", name, value, "is not a GUID", "copy it from the console, in lower case: 8-4-4-4-12 hexadecimal digits")
}

func isGUID(s string) bool {
	parts := strings.Split(s, "-")
	lengths := make([]int, len(parts))
	for i, part := range parts {
		lengths[i] = len(part)
	}
	return slices.Equal(lengths, []int{8, 4, 4, 4, 12}) && strings.Trim(s, "0123456789abcdef-") == ""
}

// unless returns nil if ok is true, else the error for an argument; mistake is the last part of
// its id.
func unless(ok bool, mistake, name, value, reason, fix string) error {
	switch {
	case ok:
		return nil
	case value == "":
		return wrongArgument(name, "empty", "is empty (is the environment variable set?)", fix)
	}
	return wrongArgument(name, mistake, fmt.Sprintf("%.60q %s", value, reason), fix)
}

// wrongArgument returns the error for an argument, with the id under which Mount reports it.
func wrongArgument(name, mistake, reason, fix string) *ginauth.Error {
	return wrong(errid.Of("Provider."+name, mistake), name, reason, fix)
}
