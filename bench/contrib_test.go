package bench_test

import (
	"encoding/gob"
	"encoding/json"
	"net/http"
	"os"

	ginsessions "github.com/gin-contrib/sessions"
	gincookie "github.com/gin-contrib/sessions/cookie"
	"github.com/gin-contrib/sessions/memstore"
	ginredis "github.com/gin-contrib/sessions/redis"
	"github.com/gin-gonic/gin"
)

// contribRequests returns applications that keep their user in gin-contrib/sessions, as a struct or as
// JSON.
func contribRequests() []request {
	gob.Register(person{})
	list := []request{}
	for _, home := range []struct {
		name, title string
		open        func() ginsessions.Store
	}{
		{"hmac", "gin-contrib/sessions, cookie, signed", func() ginsessions.Store { return gincookie.NewStore([]byte(key)) }},
		{"aes", "gin-contrib/sessions, cookie, signed and encrypted", func() ginsessions.Store { return gincookie.NewStore([]byte(key), []byte(key)) }},
		{"memstore", "gin-contrib/sessions, memstore", memory},
		{"redis", "gin-contrib/sessions, Redis", inRedis},
	} {
		list = append(list,
			request{"contrib-" + home.name + "-gob", home.title + ", struct", func() app { return contrib(home.open(), asStruct) }, false},
			request{"contrib-" + home.name + "-json", home.title + ", JSON", func() app { return contrib(home.open(), asJSON) }, false})
	}
	return list
}

func memory() ginsessions.Store { return memstore.NewStore([]byte(key)) }

func inRedis() ginsessions.Store {
	return must(ginredis.NewStore(10, "tcp", redisAddress(), "", "", []byte(key)))
}

// redisAddress returns the address of a Redis server: see run.sh.
func redisAddress() string {
	addr := os.Getenv("GINAUTH_REDIS")
	if addr == "" {
		panic("GINAUTH_REDIS is not set: there is no server; see run.sh")
	}
	return addr
}

// form is how a user is stored in a session.
type form struct {
	put func(person) any
	get func(any) (*person, bool)
}

var asStruct = form{
	put: func(p person) any { return p },
	get: func(v any) (*person, bool) { p, ok := v.(person); return &p, ok },
}

var asJSON = form{
	put: func(p person) any { return string(must(json.Marshal(p))) },
	get: func(v any) (*person, bool) {
		text, _ := v.(string)
		p := new(person)
		return p, json.Unmarshal([]byte(text), p) == nil
	},
}

func contrib(store ginsessions.Store, f form) app {
	middleware := ginsessions.Sessions("session", store)
	guard := func(c *gin.Context) {
		p, ok := f.get(ginsessions.Default(c).Get(userKey))
		admit(c, p, ok)
	}
	a := app{handler: routes(gin.New(), greet, middleware, guard)}
	a.cookies, a.set = signIn(func(c *gin.Context) {
		s := ginsessions.Default(c)
		s.Set(userKey, f.put(ada()))
		if err := s.Save(); err != nil {
			panic(err)
		}
		c.Status(http.StatusNoContent)
	}, middleware)
	return a
}
