package providers_test

import (
	"strings"
	"testing"
)

// mail is what a change in a recorded profile does to the address.
type mail struct {
	preset, file, old, new string
	email                  string
	verified               bool
}

const petrasMail = "petra@kvarnbygd.example"

// An address is verified if the provider's own word for it says so, and by
// nothing that only looks like it.
func TestMailIsVerifiedByTheProviderAlone(t *testing.T) {
	for _, m := range []mail{
		{"amazon", "profile.json", `"name"`, `"email_verified": true, "name"`, petrasMail, false},
		{"atlassian", "me.json", `"name"`, `"email_verified": true, "name"`, petrasMail, false},
		{"box", "me.json", `"name"`, `"email": "petra@kvarnbygd.example", "email_verified": true, "name"`, petrasMail, false},
		{"coinbase", "user.json", `"data"`, `"email": "petra@kvarnbygd.example", "email_verified": true, "data"`, petrasMail, false},
		{"digitalocean", "account.json", `"email_verified": true`, `"email_verified": false`, petrasMail, false},
		{"digitalocean", "account.json", `"email_verified": true`, `"email_verified": "true,"`, petrasMail, false},
		{"dropbox", "account.json", `"email_verified": true`, `"email_verified": false`, petrasMail, false},
		{"dropbox", "account.json", `"email_verified": true`, `"email_verified": "true"`, petrasMail, false},
		{"dropbox", "account.json", `"email_verified": true,`, ``, petrasMail, false},
		{"patreon", "identity.json", `"is_email_verified": true`, `"is_email_verified": false`, petrasMail, false},
		{"patreon", "identity.json", `"is_email_verified": true`, `"email_verified": true`, petrasMail, false},
		{"patreon", "identity.json", `"email": "petra@kvarnbygd.example",`, ``, "", false},
		{"hubspot", "introspect.json", `"active"`, `"email": "petra@kvarnbygd.example", "email_verified": true, "active"`, petrasMail, false},
		{"paypal", "userinfo.json", `"email_verified": true,`, ``, petrasMail, false},
		{"paypal", "userinfo.json", `"email_verified": true`, `"email_verified": "true"`, petrasMail, false},
		{"reddit", "me.json", `"id":`, `"email": "petra@kvarnbygd.example", "email_verified": true, "id":`, petrasMail, false},
		{"salesforce", "userinfo.json", `"email_verified": true`, `"email_verified": false`, petrasMail, false},
		{"salesforce", "userinfo.json", `"email_verified": true,`, ``, petrasMail, false},
		{"vk", "user.json", `"verified": true`, `"email_verified": true`, petrasMail, false},
		{"vk", "user.json", `"user": {`, `"email": "petra@kvarnbygd.example", "email_verified": true, "user": {`, petrasMail, false},
		{"vk", "user.json", `"email": "petra@kvarnbygd.example",`, ``, "", false},
		{"yandex", "info.json", `"sex"`, `"email": "petra@kvarnbygd.example", "email_verified": true, "sex"`, petrasMail, false},
		{"yandex", "info.json", `"default_email": "petra@kvarnbygd.example",`, `"email_verified": true, "email": "petra@kvarnbygd.example",`, "", false},
		{"zoom", "me.json", `"verified": 1`, `"verified": 0`, petrasMail, false},
		{"zoom", "me.json", `"verified": 1`, `"verified": "1"`, petrasMail, false},
		{"zoom", "me.json", `"verified": 1,`, `"email_verified": true,`, petrasMail, false},
	} {
		t.Run(m.preset+" "+m.new, func(t *testing.T) {
			t.Parallel()
			s := newStandIn(t, m.preset)
			s.replace(m.file, m.old, m.new)
			if u := s.app(s.provider()).signIn(); u.Email != m.email || u.EmailVerified != m.verified {
				t.Errorf("the address is %q, verified: %v", u.Email, u.EmailVerified)
			}
		})
	}
}

// replace changes a recorded answer.
func (s *standIn) replace(file, old, new string) {
	s.t.Helper()
	text := string(s.file(file))
	if !strings.Contains(text, old) {
		s.t.Fatalf("%s is not in %s", old, file)
	}
	s.answers[file] = []byte(strings.Replace(text, old, new, 1))
}
