package redisstate_test

import (
	"log"
	"os"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/redis/go-redis/v9"

	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/redisstate"
)

// Several replicas share one Redis: a sign-out at one takes effect at all.
func Example() {
	client := redis.NewClient(&redis.Options{
		Addr:        os.Getenv("REDIS_ADDR"),
		DialTimeout: 500 * time.Millisecond,
		ReadTimeout: 500 * time.Millisecond,
	})
	defer client.Close()

	router := gin.New()
	shared := redisstate.New(client, "myapp:")
	auth, err := ginauth.Mount(router, ginauth.Options{
		BaseURL:     "https://app.example.com",
		Keys:        []string{os.Getenv("GINAUTH_KEY")}, // the same for every replica
		Revocations: ginauth.Cached(shared),
		Tokens:      shared,
		Providers: []ginauth.Provider{{
			Name: "corp", Issuer: "https://login.example.com",
			ClientID: os.Getenv("CLIENT_ID"), ClientSecret: os.Getenv("CLIENT_SECRET"),
		}},
	})
	if err != nil {
		log.Fatal(err)
	}
	router.GET("/", auth.RequireAuth(), func(c *gin.Context) {
		c.String(200, "hello, %s", ginauth.CurrentUser(c).Name)
	})
	log.Fatal(router.Run())
}
