package main

import (
	"log/slog"
	"net/http"
	"runtime/debug"

	"github.com/gin-gonic/gin"
)

// panicked responds to a panic with 500 and logs it without the request. gin.Recovery logs the
// request's headers, including the session cookie, if the panic is about a broken connection,
// and in debug mode always.
func panicked(c *gin.Context, reason any) {
	slog.Error("panic", "route", c.FullPath(), "reason", reason, "stack", string(debug.Stack()))
	c.AbortWithStatus(http.StatusInternalServerError)
}
