package ginauth_test

import (
	"github.com/ginauth/ginauth/authtest"
)

func (s *site) frame(b *authtest.Browser, from, query string) *authtest.Page {
	s.t.Helper()
	return s.must(b.Frame(authtest.At(from), s.URL+"/logout/demo/frontchannel"+query))
}
