package ginauth

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"slices"
	"strings"
)

// Check decides whether [Auth.RequireAuth] admits a user: it returns nil to admit the user, or
// an error with the reason to reject them. An application's own checks are plain functions, and
// may query a database:
//
//	auth.RequireAuth(func(u *ginauth.User) error { return staff.Welcomes(u.ID()) })
//
// The error is logged, and the response is 403 without the reason. An [*Error] results in the
// status of its Code: return one with [ErrStoreUnavailable] (503) if the database could not be
// queried, and the error of [MaxAge] or [ACR] if the user must authenticate again. A Check that
// panics rejects the user. A Check must be safe for concurrent use.
//
// A Check alone does not admit an access token: the guard also needs [HasScope] or [IsClient].
type Check func(*User) error

// readOnly lists the checks of this package that neither change the user nor call other
// checks, by the address of their code. Their constructors must not be inlined, since each
// copy would have a different address.
var readOnly = []uintptr{
	code(HasGroup("0")), code(HasClaim("0")), code(VerifiedEmailDomain("0")), code(FromProvider("0")), code(MaxAge(minMaxAge)), code(ACR("0")),
	code(HasScope("0")), code(IsClient("0")),
}

func code(check Check) uintptr { return reflect.ValueOf(check).Pointer() }

// allReadOnly reports whether all checks are of this package. A false negative costs only a
// copy of the user.
func allReadOnly(checks []Check) bool {
	return !slices.ContainsFunc(checks, func(check Check) bool { return !slices.Contains(readOnly, code(check)) })
}

// mustHave panics at startup if a check has no arguments or an empty one: most likely a
// configured list or an environment variable is empty. The check would admit no user, or users
// whose provider sent an empty string.
func mustHave(check string, args []string) {
	if len(args) == 0 || slices.Contains(args, "") {
		panic(fmt.Sprintf("ginauth: %s(%q): pass at least one name and no empty names (is the environment variable set?)", check, args))
	}
}

// mustNotBeNil panics if one of checks is nil: calling it would panic and reject every user.
func mustNotBeNil(function string, checks []Check) {
	if i := slices.IndexFunc(checks, func(check Check) bool { return check == nil }); i >= 0 {
		panic(fmt.Sprintf("ginauth: %s: check %d is nil", function, i+1))
	}
}

// warnAboutChecks logs a warning for a check that currently rejects every user: for a claim
// that sessions do not keep, or for unknown providers, which SetProviders may still add.
func (a *Auth) warnAboutChecks(checks []Check) {
	g := a.providers.Load()
	for _, check := range checks {
		switch code(check) {
		case code(HasClaim("0")):
			err := check(&User{kept: &keptClaims{names: append([]string{}, a.cfg.KeepClaims...)}})
			if e, ok := errors.AsType[*Error](err); ok {
				a.cfg.log(context.Background(), slog.LevelWarn, "check.claim_not_kept", e.Reason+"; "+e.Fix)
			}
		case code(FromProvider("0")):
			admits := func(name string) bool { return check(&User{Provider: name}) == nil }
			if len(g.all) > 0 && !slices.ContainsFunc(g.all, admits) {
				a.cfg.log(context.Background(), slog.LevelWarn, "check.provider", "a FromProvider check rejects every user, because no configured provider has one of its names; use a Name from Options.Providers",
					slog.String("check", check(&User{}).Error()), slog.Any("providers", g.all))
			}
		}
	}
}

// refusal is the error of the checks of this package. Its text is safe to show to a developer
// on the page.
type refusal struct{ id, reason, fix string }

// Error returns the reason.
func (r refusal) Error() string { return r.reason }

func refused(id, fix, format string, args ...any) error {
	return refusal{id, fmt.Sprintf(format, args...), fix}
}

// notAdmitted is the fix of a rejection that may be intended.
const notAdmitted = "ignore this if the user should be rejected"

// HasGroup admits a user that is in at least one of groups ([User.Groups]). Names are compared
// exactly. If the user has no groups, the log says that the provider sent none, neither in the
// ID token nor in userinfo. HasGroup panics without groups, and if one is empty.
//
//go:noinline
func HasGroup(groups ...string) Check {
	mustHave("HasGroup", groups)
	groups = slices.Clone(groups)
	return func(u *User) error {
		for _, g := range groups {
			if slices.Contains(u.Groups, g) {
				return nil
			}
		}
		if len(u.Groups) == 0 {
			return refused("check.no_groups", `find the claim with the groups in the ID token or userinfo, and set Provider.ClaimPaths["groups"] to its path; Keycloak sends realm_access.roles only if the mapper "realm roles" adds it`,
				"the user is not in any of the groups %q: the provider sent no groups", groups)
		}
		return refused("check.group", "ignore this if the user should be rejected; otherwise compare the names with CurrentUser(c).Groups, which must match exactly", "the user is not in any of the groups %q", groups)
	}
}

// HasClaim admits a user whose claim name equals one of values. A number is compared in its
// decimal form, a boolean as "true" or "false", and a list matches if one of its elements
// does. Without values, the claim must be present and not null, false or empty. HasClaim
// panics if name is empty.
//
// The session must keep the claim: add name to [Options.KeepClaims]. Otherwise the check
// rejects every user, and the log says what to add, at startup and at each rejection.
//
//go:noinline
func HasClaim(name string, values ...string) Check {
	mustHave("HasClaim", []string{name})
	values = slices.Clone(values)
	return func(u *User) error {
		v, kept := u.claim(name)
		if !kept {
			return &Error{Code: ErrForbidden, ID: "check.claim_not_kept", Op: "check", Reason: fmt.Sprintf("HasClaim(%q) rejects every user: the claim is not kept in the session", name),
				Fix: fmt.Sprintf("add %q to Options.KeepClaims; users who are signed in must sign in again", name)}
		}
		if claimMatches(v, values) {
			return nil
		}
		if len(values) == 0 {
			return refused("check.claim_absent", notAdmitted, "claim %q is absent, null, false or empty", name)
		}
		return refused("check.claim", notAdmitted, "claim %q is not one of %q", name, values)
	}
}

func claimMatches(v any, values []string) bool {
	switch v := v.(type) {
	case nil:
		return false
	case bool:
		return len(values) == 0 && v || slices.Contains(values, fmt.Sprint(v))
	case []any:
		if len(values) == 0 {
			return len(v) > 0
		}
		return slices.ContainsFunc(v, func(item any) bool {
			_, nested := item.([]any)
			return !nested && claimMatches(item, values)
		})
	case map[string]any:
		return len(values) == 0 && len(v) > 0
	}
	s := fmt.Sprint(v) // of a number: its text as sent
	return len(values) == 0 && s != "" || slices.Contains(values, s)
}

// VerifiedEmailDomain admits a user with a verified e-mail address at exactly one of domains,
// compared without case: "example.com" does not admit mail.example.com. An address that can be
// parsed in two ways (more than one @, quotes, non-ASCII characters) is rejected.
// VerifiedEmailDomain panics without domains, and if one is empty.
//
//go:noinline
func VerifiedEmailDomain(domains ...string) Check {
	mustHave("VerifiedEmailDomain", domains)
	domains = slices.Clone(domains)
	return func(u *User) error {
		email, ok := u.VerifiedEmail()
		if !ok {
			return refused("check.email_unverified", "see docs/providers.md for which addresses this provider verifies; Provider.EmailVerified can change the rule", "the user has no email address verified by the provider")
		}
		domain := emailDomain(email)
		if slices.ContainsFunc(domains, func(d string) bool { return strings.EqualFold(d, domain) }) { // no domain is empty, as "" would be
			return nil
		}
		return refused("check.email_domain", notAdmitted, "the email address is not in any of the domains %q", domains)
	}
}

// emailDomain returns the domain of a plain address: one @; before it the characters of an
// atom (RFC 5322, 3.2.3) and dots in any place, since some providers issue a..b; after it
// letters, digits, dots and hyphens. It returns "" for any other address.
func emailDomain(email string) string {
	local, domain, _ := strings.Cut(email, "@")
	if local == "" || len(email) > 254 {
		return ""
	}
	for _, c := range []byte(local) {
		if !alphanumeric(c) && !strings.ContainsRune("!#$%&'*+-/=?^_`{|}~.", rune(c)) {
			return ""
		}
	}
	for label := range strings.SplitSeq(domain, ".") {
		if label == "" || label[0] == '-' || label[len(label)-1] == '-' {
			return ""
		}
		for _, c := range []byte(label) {
			if !alphanumeric(c) && c != '-' {
				return ""
			}
		}
	}
	return domain
}

func alphanumeric(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
}

// FromProvider admits a user that signed in through one of the named providers. A name that is
// not in [Options.Providers] matches no user; if no name is, RequireAuth logs a warning.
// FromProvider panics without names, and if one is empty.
//
//go:noinline
func FromProvider(names ...string) Check {
	mustHave("FromProvider", names)
	names = slices.Clone(names)
	return func(u *User) error {
		if slices.Contains(names, u.Provider) {
			return nil
		}
		return refused("check.provider", "sign in with one of those providers", "the user signed in with %q, not with any of %q", u.Provider, names)
	}
}

// AnyOf admits a user that passes at least one of checks. A bearer token must also be admitted
// by a [HasScope] or [IsClient] check in it: after a check of another kind passes, AnyOf
// evaluates the remaining ones for such a check. If the user passes no check, the error is
// that of the first check that authenticating again can satisfy ([MaxAge], [ACR]), else that
// of the last one. To require several checks, pass them to [Auth.RequireAuth] side by side.
// AnyOf panics without checks, and if one is nil.
func AnyOf(checks ...Check) Check {
	if len(checks) == 0 {
		panic("ginauth: AnyOf(): pass at least one check; without one it rejects every user")
	}
	mustNotBeNil("AnyOf", checks)
	checks = slices.Clone(checks)
	return func(u *User) error {
		var err, demands error
		passed := false
		for _, check := range checks {
			undecided := u.Grant.undecided()
			if err = check(u); err == nil && !u.Grant.undecided() {
				return nil
			}
			if err != nil && undecided { // a HasScope that passed inside the failed check must not admit the token
				u.Grant.takeBack()
			}
			if passed = passed || err == nil; err == nil { // a later one may admit the token
				continue
			}
			if e, _ := errors.AsType[*Error](err); e != nil && e.demand != nil && demands == nil {
				demands = err
			}
		}
		switch {
		case passed:
			return nil
		case demands != nil:
			return demands
		}
		return err
	}
}
