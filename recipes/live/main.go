// Command live shows a clock over a WebSocket until the session ends: see docs/websockets.md.
package main

import (
	"log"

	"github.com/gin-gonic/gin"
	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/authtest"
)

func main() {
	app, err := application(ginauth.Options{
		BaseURL:   "http://localhost:8080",
		Providers: []ginauth.Provider{authtest.Demo("corp")},
	})
	if err != nil {
		log.Fatal(err)
	}
	log.Fatal(app.Run("localhost:8080"))
}

func application(opts ginauth.Options) (*gin.Engine, error) {
	app := gin.New()
	auth, err := ginauth.Mount(app, opts)
	if err != nil {
		return nil, err
	}
	app.GET("/", auth.RequireAuth(), func(c *gin.Context) {
		c.Data(200, "text/html; charset=utf-8", []byte(page))
	})
	app.GET("/live", auth.RequireAuth(), live(auth))
	return app, nil
}

const page = `<!doctype html>
<title>Live</title>
<p id="clock"></p>
<script>
function connect() {
  const socket = new WebSocket(location.origin.replace(/^http/, "ws") + "/live")
  socket.onmessage = e => document.getElementById("clock").textContent = e.data
  socket.onclose = e => e.code === 4401 ? location.reload() : setTimeout(connect, 1000)
}
connect()
</script>
<form method="post" action="/logout"><button>Sign out</button></form>`
