package main

import (
	"time"

	"github.com/coder/websocket"
	"github.com/gin-gonic/gin"
	"github.com/ginauth/ginauth"
)

// signedOut is a close code of this application: those from 4000 to 4999 are free for use.
const signedOut websocket.StatusCode = 4401

// live sends the time every second until the browser closes the connection or the session
// ends.
func live(auth *ginauth.Auth) gin.HandlerFunc {
	return func(c *gin.Context) {
		session := auth.SessionContext(c)
		socket, err := websocket.Accept(c.Writer, c.Request, nil)
		if err != nil {
			return // Accept has responded
		}
		defer socket.CloseNow()
		connection := socket.CloseRead(c.Request.Context())
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		for {
			select {
			case <-connection.Done():
				return
			case <-session.Done():
				_ = socket.Close(signedOut, "signed out")
				return
			case now := <-tick.C:
				if socket.Write(connection, websocket.MessageText, []byte(now.Format(time.TimeOnly))) != nil {
					return
				}
			}
		}
	}
}
