package interop

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"sync"
	"syscall"

	"github.com/gin-gonic/gin"
	"github.com/redis/go-redis/v9"

	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/providers"
	"github.com/ginauth/ginauth/redisstate"
)

// replicaVariable makes a process of this test binary a replica.
const replicaVariable = "GINAUTH_INTEROP_REPLICA"

// replicaSite is what a replica is told of an application.
type replicaSite struct {
	BaseURL, Prefix          string
	Issuer, ClientID, Secret string
	Redis, Proxy             string // the replica's network
}

// runReplica is the main program of a replica: it reads which applications to run from its
// standard input, writes their addresses, and ends with its input.
func runReplica() error {
	in := json.NewDecoder(os.Stdin)
	var sites []replicaSite
	if err := in.Decode(&sites); err != nil {
		return err
	}
	var addresses []string
	for _, s := range sites {
		app, err := s.application()
		if err != nil {
			return err
		}
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return err
		}
		addresses = append(addresses, "http://"+l.Addr().String())
		go func() { _ = http.Serve(l, app) }()
	}
	if err := json.NewEncoder(os.Stdout).Encode(addresses); err != nil {
		return err
	}
	_, err := io.Copy(io.Discard, os.Stdin)
	return err
}

// application is what a user of ginauth writes who has several replicas.
func (s replicaSite) application() (http.Handler, error) {
	proxy, err := url.Parse(s.Proxy)
	if err != nil {
		return nil, err
	}
	shared := redisstate.New(redis.NewClient(&redis.Options{Addr: s.Redis, Protocol: 2}), s.Prefix)
	provider := providers.Offline(providers.OIDC("corp", s.Issuer, s.ClientID, s.Secret))
	provider.APIs = []ginauth.API{{URL: s.Issuer + "/"}}
	router := gin.New()
	auth, err := ginauth.Mount(router.Group("/auth"), ginauth.Options{
		BaseURL: s.BaseURL, Keys: []string{"a key that all replicas of the tests share"}, Providers: []ginauth.Provider{provider},
		Revocations: shared, Tokens: shared, HTTPClient: &http.Client{Transport: &http.Transport{Proxy: http.ProxyURL(proxy)}},
		Logger: slog.New(slog.NewTextHandler(os.Stderr, nil)),
	})
	if err != nil {
		return nil, err
	}
	router.GET("/private", auth.RequireAuth(), func(c *gin.Context) {
		c.JSON(http.StatusOK, profile{User: ginauth.CurrentUser(c)})
	})
	router.GET("/api", auth.RequireAuth(), func(c *gin.Context) {
		if _, err := auth.Token(c, s.Issuer+"/"); err != nil {
			auth.Fail(c, err)
			return
		}
		c.String(http.StatusOK, "the API can be called")
	})
	return router, nil
}

// replica is a process that runs applications.
type replica struct {
	addresses []string
	command   *exec.Cmd
	stdin     io.Closer
	wait      func() error
}

func startReplica(log io.Writer, sites ...replicaSite) (*replica, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	r := &replica{command: exec.Command(self)}
	r.wait = sync.OnceValue(r.command.Wait)
	r.command.Env = append(os.Environ(), replicaVariable+"=1", "GORACE=atexit_sleep_ms=0")
	r.command.Stderr = log
	stdin, err := r.command.StdinPipe()
	if err != nil {
		return nil, err
	}
	r.stdin = stdin
	stdout, err := r.command.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := r.command.Start(); err != nil {
		return nil, err
	}
	if err := json.NewEncoder(stdin).Encode(sites); err != nil {
		r.kill()
		return nil, err
	}
	if err := json.NewDecoder(bufio.NewReader(stdout)).Decode(&r.addresses); err != nil {
		r.kill()
		return nil, fmt.Errorf("a replica did not start: %w", err)
	}
	return r, nil
}

// kill ends the process at once: nothing of it runs any more.
func (r *replica) kill() {
	_ = r.command.Process.Kill()
	_ = r.wait()
}

// pause stops the process, as a virtual machine that is moved stops, until goOn.
func (r *replica) pause() { _ = r.command.Process.Signal(syscall.SIGSTOP) }

func (r *replica) goOn() { _ = r.command.Process.Signal(syscall.SIGCONT) }

// stop lets the process end, and returns an error if the race detector found something.
func (r *replica) stop() error {
	r.stdin.Close()
	return r.wait()
}
