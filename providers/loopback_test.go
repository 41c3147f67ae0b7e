package providers_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/ginauth/ginauth/providers"
)

// serverArguments are those that name a server which people run themselves.
var serverArguments = map[string]bool{"host": true, "instance": true}

// TestServerOnLoopback: in development a server is on this machine, over http.
func TestServerOnLoopback(t *testing.T) {
	const origin = "http://localhost:8180"
	for _, p := range providers.Catalogue() {
		for _, a := range p.Args {
			if a.Free {
				continue
			}
			made := madeWith(p, map[string]string{a.Name: origin})
			err := mount(made)
			if !serverArguments[a.Name] {
				if ids := mistakes(err); len(ids) != 1 || !strings.HasPrefix(ids[0], argumentID(a.Name)+"not_a_") {
					t.Errorf("%s: %q for the %s: %q: %v", p.Name, origin, a.Name, ids, err)
				}
				continue
			}
			if err != nil {
				t.Errorf("%s: %v", p.Name, err)
			}
			for _, address := range addresses(made) {
				if address != "" && address != origin && !strings.HasPrefix(address, origin+"/") {
					t.Errorf("%s: %s is not at %s", p.Name, address, origin)
				}
			}
		}
	}
}

func TestAddressesOfServers(t *testing.T) {
	for value, issuer := range map[string]string{
		"http://localhost:8180": "http://localhost:8180/realms/demo", "https://localhost:8443": "https://localhost:8443/realms/demo",
		"http://127.0.0.1:8180": "http://127.0.0.1:8180/realms/demo", "http://[::1]:8180": "http://[::1]:8180/realms/demo",
		"http://keycloak.localhost": "http://keycloak.localhost/realms/demo", "localhost:8180": "https://localhost:8180/realms/demo",
		"login.example.com": "https://login.example.com/realms/demo",
	} {
		p := providers.Keycloak(value, "demo", "id", "secret")
		if err := mount(p); err != nil || p.Issuer != issuer {
			t.Errorf("%s: %v, %s", value, err, p.Issuer)
		}
		environ(t, map[string]string{"KEYCLOAK_CLIENT_ID": "id", "KEYCLOAK_CLIENT_SECRET": "secret", "KEYCLOAK_HOST": value, "KEYCLOAK_REALM": "demo"})
		list, err := providers.FromEnv()
		if err != nil || len(list) != 1 || list[0].Issuer != issuer || mount(list[0]) != nil {
			t.Errorf("%s, from the environment: %v, %v", value, list, err)
		}
	}
	for _, value := range []string{
		"http://login.example.com", "https://login.example.com", "http://localhost.example.com", "http://localhost@evil.example", "http://me@localhost", "http://localhost/", "http://localhost/x",
		"http://localhost?x", "http://localhost#x", "http://LOCALHOST", "http://localhost:80", "http://localhost:0", "http://localhost:", "http:localhost", "//localhost", "ftp://localhost", "http://127.0.0.1.evil.example", "http://2130706433",
		"http://10.0.0.1:8180", "http://0.0.0.0", "http://localhost:8180 ", "http://localhost\\@evil.example", "http://",
	} {
		if err := mount(providers.Keycloak(value, "demo", "id", "secret")); !slices.Equal(mistakes(err), []string{"provider.host.not_a_host"}) {
			t.Errorf("%q: %v", value, err)
		}
	}
}
