package errid_test

import (
	"testing"

	"github.com/ginauth/ginauth/internal/errid"
)

func TestOf(t *testing.T) {
	for field, want := range map[string]string{
		"Options.BaseURL": "options.base_url.empty", "Options.CallbackPaths": "options.callback_paths.empty", "Mount": "mount.empty",
		"Provider.JWKSURL": "provider.jwks_url.empty", "Provider.IDTokenAlg": "provider.id_token_alg.empty", "Provider.Quirks.HS256": "provider.quirks.hs256.empty",
		"Provider.Quirks.ClientIDParam": "provider.quirks.client_id_param.empty", "Provider.Logout.EndSessionURL": "provider.logout.end_session_url.empty",
		"Provider.tenant": "provider.tenant.empty", "Provider.tenantID": "provider.tenant_id.empty", "Provider.allowedTenants": "provider.allowed_tenants.empty",
	} {
		if got := errid.Of(field, "empty"); got != want {
			t.Errorf("%s: %s, want %s", field, got, want)
		}
	}
}
