package interop

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// The table of docs/interop.md is about the versions that are tested here.
func TestVersions(t *testing.T) {
	page := read(t, "../docs/interop.md")
	for _, pinned := range []struct{ file, pattern, name string }{
		{"go.mod", `zitadel/oidc/v3 v(\S+)`, "zitadel/oidc"},
		{"oidcprovider/package.json", `"oidc-provider": "(.+)"`, "oidc-provider"},
		{"servers.sh", `(?m)^keycloak=(.+)$`, "Keycloak"},
		{"spring/pom.xml", `<version>(.+)</version>\s*<relativePath/>`, "Spring Boot"},
	} {
		version := regexp.MustCompile(pinned.pattern).FindStringSubmatch(read(t, pinned.file))
		if version == nil || !strings.Contains(page, pinned.name+" "+version[1]) {
			t.Errorf("docs/interop.md does not have %s %q", pinned.name, version)
		}
	}
}

func read(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
