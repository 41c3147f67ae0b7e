package ginauth_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/gin-contrib/sessions/memstore"
)

// A store that fails is no loop: the sign-in goes on, and says itself what is
// wrong.
func TestAStoreThatFailsIsNoLoop(t *testing.T) {
	t.Parallel()
	store := &deafStore{Store: memstore.NewStore([]byte("the store's secret")), fails: errors.New("connection refused")}
	f := storeSite(t, store)
	for range 3 {
		f.signIn()
	}
	store.deaf.Store(true)
	if p := f.open("/login/demo"); p.Status != http.StatusSeeOther || !strings.HasPrefix(p.Header.Get("Location"), f.idp.Issuer) {
		t.Errorf("answered %d: %s", p.Status, p.Text())
	}
}
