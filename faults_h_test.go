package ginauth_test

import ()

// localOnly keeps the sign-out from going on to the provider.
func (s *site) localOnly() {
	s.idp.EditMetadata(func(m map[string]any) { delete(m, "end_session_endpoint") })
}
