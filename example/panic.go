package main

import (
	"log/slog"
	"net/http"
	"runtime/debug"

	"github.com/gin-gonic/gin"
)

// panicked answers a panic with 500 and logs it without the request. gin.Recovery logs the
// request's headers, and with them the session cookie, if the panic is about a connection that
// broke, and in debug mode always.
func panicked(c *gin.Context, reason any) {
	slog.Error("panic", "route", c.FullPath(), "reason", reason, "stack", string(debug.Stack()))
	c.AbortWithStatus(http.StatusInternalServerError)
}
