package authtest

import (
	"crypto/sha256"
	"hash/fnv"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"unicode"
)

// Person is a user account at a Provider.
type Person struct {
	Subject       string
	Name          string
	Username      string
	Email         string
	EmailVerified bool
	// Picture defaults to a drawing of the initials, which the provider serves.
	Picture string
	Locale  string
	Groups  []string
	// Claims override the claims of the fields above, whatever scopes were granted; a nil
	// value removes a claim.
	Claims map[string]any
}

// DemoPeople returns the default accounts of Config.People: ada, in the group "admin"; grace;
// zoe, whose name is not ASCII; and eve, whose e-mail address is not verified.
func DemoPeople() []Person {
	return []Person{
		{Subject: "ada", Name: "Ada Lovelace", Username: "ada", Email: "ada@example.com", EmailVerified: true, Locale: "en-GB", Groups: []string{"admin", "staff"}},
		{Subject: "grace", Name: "Grace Hopper", Username: "grace", Email: "grace@example.com", EmailVerified: true, Locale: "en-US", Groups: []string{"staff"}},
		{Subject: "zoe", Name: "Zoë Ångström", Username: "zoë", Email: "zoe@example.com", EmailVerified: true, Locale: "sv-SE"},
		{Subject: "eve", Name: "Eve Newcomer", Username: "eve", Email: "eve@example.net", Locale: "en"},
	}
}

// AddPerson adds an account, or replaces the one with the same subject.
func (p *Provider) AddPerson(person Person) {
	orString(&person.Picture, p.avatar(person.Subject))
	person.Groups, person.Claims = slices.Clone(person.Groups), maps.Clone(person.Claims)
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := range p.people {
		if p.people[i].Subject == person.Subject {
			p.people[i] = person
			return
		}
	}
	p.people = append(p.people, person)
}

func (p *Provider) person(subject string) (Person, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, person := range p.people {
		if person.Subject == subject {
			return person, true
		}
	}
	return Person{}, false
}

func (p *Provider) everyone() []Person {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.people)
}

// typed returns the account that was entered in the page's form. The same e-mail address, or
// without one the same name, yields the same account.
func typed(name, email string, verified bool) Person {
	name, email = strings.TrimSpace(name), strings.TrimSpace(email)
	sum := sha256.Sum256([]byte(strings.ToLower(email) + "\x00"))
	if email == "" {
		sum = sha256.Sum256([]byte("\x00" + name))
	}
	return Person{Subject: "typed-" + encode(sum[:9]), Name: name, Email: email, EmailVerified: verified && email != ""}
}

// identity returns the claims of the user that the granted scopes permit.
func (p Person) identity(scopes []string) map[string]any {
	claims := map[string]any{}
	if slices.Contains(scopes, "profile") {
		putString(claims, "name", p.Name)
		putString(claims, "preferred_username", p.Username)
		putString(claims, "picture", p.Picture)
		putString(claims, "locale", p.Locale)
	}
	if slices.Contains(scopes, "email") && p.Email != "" {
		claims["email"], claims["email_verified"] = p.Email, p.EmailVerified
	}
	if len(p.Groups) > 0 && (slices.Contains(scopes, "profile") || slices.Contains(scopes, "groups")) {
		claims["groups"] = p.Groups
	}
	for name, value := range p.Claims {
		if claims[name] = value; value == nil {
			delete(claims, name)
		}
	}
	return claims
}

func putString(claims map[string]any, name, value string) {
	if value != "" {
		claims[name] = value
	}
}

func (p *Provider) avatar(subject string) string {
	return p.Issuer + "/avatar/" + url.PathEscape(subject) + ".svg"
}

// serveAvatar draws the initials of a user, known or not, in a colour derived from the subject.
func (p *Provider) serveAvatar(w http.ResponseWriter, r *http.Request) {
	subject := strings.TrimSuffix(r.PathValue("file"), ".svg")
	person, ok := p.person(subject)
	if !ok {
		person.Name = subject
	}
	hash := fnv.New32a()
	hash.Write([]byte(subject))
	header := w.Header()
	header.Set("Content-Type", "image/svg+xml")
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("Content-Security-Policy", "default-src 'none'; sandbox")
	render(w, http.StatusOK, "avatar.svg", map[string]any{"Initials": initials(person.Name), "Hue": hash.Sum32() % 360})
}

// initials returns the first letters of the first and the last word.
func initials(name string) string {
	var letters []rune
	for _, word := range strings.Fields(name) {
		for _, letter := range word {
			letters = append(letters, unicode.ToUpper(letter))
			break
		}
	}
	if len(letters) > 2 {
		letters = []rune{letters[0], letters[len(letters)-1]}
	}
	return string(letters)
}
