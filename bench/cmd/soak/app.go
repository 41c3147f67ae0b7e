package main

import (
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/bench/internal/visit"
)

// roleEnv makes this program the application that is watched.
const roleEnv = "GINAUTH_SOAK"

const (
	lifetime = time.Hour // by the application's clock
	idle     = 20 * time.Minute
)

// serve is the application.
func serve(role string) error {
	parts := strings.Fields(role)
	if len(parts) != 5 {
		return fmt.Errorf("%s is not what the other process says", roleEnv)
	}
	began, err := strconv.ParseInt(parts[3], 10, 64)
	if err != nil {
		return err
	}
	speed, err := strconv.Atoi(parts[4])
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	base := "http://" + listener.Addr().String()
	gin.SetMode(gin.ReleaseMode)
	app := gin.New()
	auth, err := ginauth.Mount(app, ginauth.Options{
		BaseURL: base, Keys: []string{"the key of the soak test (32 B)."}, Lifetime: lifetime, IdleTimeout: idle,
		Providers:  []ginauth.Provider{{Name: "corp", Issuer: parts[0], ClientID: parts[1], ClientSecret: parts[2]}},
		KeepClaims: []string{"sid"}, Logger: slog.New(slog.DiscardHandler), Now: clock{time.Unix(0, began), speed}.now,
	})
	if err != nil {
		return err
	}
	app.GET("/", func(c *gin.Context) { c.String(http.StatusOK, "hello") })
	app.GET("/me", auth.RequireAuth(), func(c *gin.Context) {
		claims, err := ginauth.Claims[struct{ Sid string }](c)
		if err != nil {
			_ = c.AbortWithError(http.StatusInternalServerError, err)
			return
		}
		c.String(http.StatusOK, "%s %s", ginauth.CurrentUser(c).Subject, claims.Sid)
	})
	app.GET("/stats", stats)
	fmt.Println(base)
	return (&http.Server{Handler: app, ReadHeaderTimeout: 10 * time.Second}).Serve(listener)
}

// stats is what the application has, after it has collected its garbage.
func stats(c *gin.Context) {
	runtime.GC()
	runtime.GC() // what finalizers and pools held on to
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	resident, err := visit.Resident(os.Getpid())
	if err != nil {
		_ = c.AbortWithError(http.StatusInternalServerError, err)
		return
	}
	c.JSON(http.StatusOK, sample{Heap: float64(m.HeapAlloc) / 1e6, Resident: resident, Goroutines: runtime.NumGoroutine()})
}
