// Package budget limits the allocations of requests and sign-ins, and measures them. Its
// benchmarks include the memory that remains after a flood of unauthenticated requests.
package budget

import (
	"fmt"
	"os"
	"testing"

	"github.com/ginauth/ginauth/internal/sitetest"
)

func TestMain(m *testing.M) {
	if kind := os.Getenv(remoteProviderEnv); kind != "" {
		if err := serveRemoteProvider(kind); err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
		return
	}
	sitetest.Main(m)
}
