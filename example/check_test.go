package main

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/ginauth/ginauth/authtest"
)

// What a person does who wants to know whether a provider is set up well, with
// one of the environment and while the example runs at the same address.
func TestCheck(t *testing.T) {
	idp, err := authtest.Start(authtest.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(idp.Close)
	program := build(t)
	run := func(want int, env ...string) (out, log string) {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), program, "-check")
		cmd.Env = append(os.Environ(), "ADDR=localhost:8080", "BASE_URL=", "SESSION_KEYS=", "REDIS_ADDR=", "GOOGLE_CLIENT_ID=", "GITHUB_CLIENT_ID=",
			"OIDC_ISSUER="+idp.Issuer, "OIDC_CLIENT_ID="+idp.ClientID, "OIDC_CLIENT_SECRET="+idp.ClientSecret)
		cmd.Env = append(cmd.Env, env...)
		var stdout, stderr bytes.Buffer
		cmd.Stdout, cmd.Stderr = &stdout, &stderr
		err := cmd.Run()
		var ended *exec.ExitError
		status := 0
		if errors.As(err, &ended) {
			status, err = ended.ExitCode(), nil
		}
		if err != nil || status != want || strings.Contains(stdout.String()+stderr.String(), idp.ClientSecret) {
			t.Errorf("%v: status %d, want %d\n%s%s", err, status, want, &stdout, &stderr)
		}
		return stdout.String(), stderr.String()
	}
	says := func(text string, parts ...string) {
		t.Helper()
		for _, part := range parts {
			if !strings.Contains(text, part) {
				t.Errorf("no %q in\n%s", part, text)
			}
		}
	}

	out, log := run(0)
	says(out, "http://localhost:8080: 0 problems, 2 warnings\n", "\nprovider demo: answers (OpenID Connect, http://127.0.0.1:", "\nprovider oidc: answers (OpenID Connect, "+idp.Issuer+")\n",
		" http://localhost:8080/authorize/oidc\n", "warning Options.Keys: is empty")
	if log != "" {
		t.Errorf("beside the diagnosis it says %s", log)
	}
	out, log = run(1, "OIDC_ISSUER="+idp.Issuer+"/")
	says(out, "1 problem,", "PROBLEM oidc: discovery: ", idp.Issuer+"/", "\nprovider demo: answers (")
	says(log, "example: problems found: 1")
	idp.Fail(authtest.JWKS, authtest.Down)
	out, _ = run(1, "SESSION_KEYS=6c1f0d7a93e25b48c0ffa1d2e3b4958677a8b9cadbecfd0e", "REDIS_ADDR=127.0.0.1:1")
	says(out, "2 problems, 1 warning\n", "PROBLEM read revocations: Options.Revocations failed", "PROBLEM oidc: signing keys: ", "\nprovider oidc: does not respond, 1 problem (")
	_, log = run(1, "BASE_URL=http://app.example.com")
	says(log, "Options.BaseURL", "use https")
}
