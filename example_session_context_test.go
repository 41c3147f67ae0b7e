package ginauth_test

import (
	"fmt"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/ginauth/ginauth"
)

// An event stream ends when its user signs out, here or at another replica.
func ExampleAuth_SessionContext() {
	app := gin.New()
	auth, err := ginauth.Mount(app, ginauth.Options{BaseURL: "http://localhost:8080", Providers: []ginauth.Provider{
		{Name: "corp", Issuer: "https://login.example.com", ClientID: "web", ClientSecret: "the client's secret"},
	}})
	if err != nil {
		fmt.Println(err)
		return
	}
	app.GET("/events", auth.RequireAuth(), func(c *gin.Context) {
		session := auth.SessionContext(c)
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		for {
			select {
			case <-session.Done():
				return
			case now := <-tick.C:
				c.SSEvent("time", now.Format(time.TimeOnly))
				c.Writer.Flush()
			}
		}
	})
}
