// Package budget holds requests and sign-ins to what they may allocate, and
// measures them. Its benchmarks include what a flood of unauthenticated
// requests leaves in memory.
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
