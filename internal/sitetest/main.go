package sitetest

import (
	"testing"

	"github.com/gin-gonic/gin"
)

// Main runs the tests of a package. Every package whose tests serve a Site
// calls it from its TestMain.
func Main(m *testing.M) {
	gin.SetMode(gin.TestMode)
	m.Run()
}
