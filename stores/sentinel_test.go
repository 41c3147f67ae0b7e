package stores_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/ginauth/ginauth/redisstate"
)

// newSentinel starts a Sentinel that watches a pair under the name app, and returns its address.
func newSentinel(t *testing.T, p *pair) string {
	t.Helper()
	l := must[net.Listener](t)(net.Listen("tcp", "127.0.0.1:0"))
	addr := l.Addr().String()
	l.Close()
	_, port, _ := net.SplitHostPort(addr)
	_, primary, _ := net.SplitHostPort(p.servers[p.primary].Addr)
	dir := t.TempDir()
	config := filepath.Join(dir, "sentinel.conf") // Sentinel writes its state there
	lines := []string{"bind 127.0.0.1", "port " + port, "dir " + dir, "sentinel monitor app 127.0.0.1 " + primary + " 1",
		"sentinel down-after-milliseconds app 500", "sentinel failover-timeout app 3000"}
	if err := os.WriteFile(config, []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	process := exec.Command("redis-server", config, "--sentinel")
	if err := process.Start(); err != nil {
		t.Fatalf("%v: run the tests with ./servers.sh run, which installs it", err)
	}
	t.Cleanup(func() {
		_ = process.Process.Kill()
		_ = process.Wait()
	})
	c := redis.NewSentinelClient(&redis.Options{Addr: addr, MaxRetries: -1})
	t.Cleanup(func() { c.Close() })
	await(t, "Sentinel knows the replica", func() bool {
		replicas, err := c.Replicas(context.Background(), "app").Result()
		return err == nil && len(replicas) == 1 && replicas[0]["flags"] == "slave" && replicas[0]["master-link-status"] == "ok"
	})
	return addr
}

// During a failover by Sentinel, requests of signed-in users get 200 or 503. Afterwards the
// replicas answer from memory again, sign-outs of before and after the failover are in force,
// and the users are still signed in.
func TestFailoverBySentinel(t *testing.T) {
	p := newPair(t)
	addr := newSentinel(t, p)
	var replicas [2]*local
	for i := range replicas {
		c := redis.NewFailoverClient(&redis.FailoverOptions{MasterName: "app", SentinelAddrs: []string{addr}, DialTimeout: 500 * time.Millisecond, ReadTimeout: 500 * time.Millisecond})
		t.Cleanup(func() { c.Close() })
		store := &counting{Store: redisstate.New(c, "app:")}
		replicas[i] = newLocal(store)
	}
	one, other := replicas[0], replicas[1]
	var sessions [3]string
	for i := range sessions {
		sessions[i] = one.signIn(t)
		one.fromMemory(t, sessions[i])
		other.fromMemory(t, sessions[i])
	}
	signOut := func(cookies string) {
		t.Helper()
		if status, _ := one.do("POST", "/out", cookies); status != http.StatusNoContent {
			t.Fatalf("the sign-out got %d", status)
		}
		for start := time.Now(); other.me(cookies) == http.StatusOK; {
			if since := time.Since(start); since > 250*time.Millisecond {
				t.Fatalf("the other replica admits the session %v after the sign-out", since)
			}
		}
	}
	signOut(sessions[0])
	await(t, "the replica of Redis has the sign-out", func() bool {
		return p.clients[1-p.primary].DBSize(context.Background()).Val() == p.clients[p.primary].DBSize(context.Background()).Val()
	})

	p.servers[p.primary].Stop()
	failed := 0
	await(t, "the replicas answer from memory again", func() bool {
		recovered := true
		for _, r := range replicas {
			if status := r.me(sessions[0]); status == http.StatusOK {
				t.Fatal("a session that was signed out is admitted")
			}
			before := r.store.asked.Load()
			switch status := r.me(sessions[1]); status {
			case http.StatusOK:
				recovered = recovered && r.store.asked.Load() == before
			case http.StatusServiceUnavailable:
				failed++
				recovered = false
			default:
				t.Fatalf("a request of a signed-in user gets %d", status)
			}
		}
		return recovered && failed > 0
	})
	t.Logf("%d requests got 503", failed)
	signOut(sessions[1])
	if status := one.me(sessions[2]); status != http.StatusOK {
		t.Errorf("after the failover, a signed-in user gets %d", status)
	}
}

// newTLSRedis starts a Redis that accepts TLS connections of a user with a password alone.
func newTLSRedis(t *testing.T) redis.UniversalClient {
	t.Helper()
	key := must[*ecdsa.PrivateKey](t)(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}
	certificate := must[[]byte](t)(x509.CreateCertificate(rand.Reader, template, template, key.Public(), key))
	private := must[[]byte](t)(x509.MarshalPKCS8PrivateKey(key))
	dir := t.TempDir()
	write := func(name, kind string, data []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: data}), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	crt, pk := write("redis.crt", "CERTIFICATE", certificate), write("redis.key", "PRIVATE KEY", private)
	l := must[net.Listener](t)(net.Listen("tcp", "127.0.0.1:0"))
	_, port, _ := net.SplitHostPort(l.Addr().String())
	l.Close()
	s := newRedis(t, "--tls-port", port, "--tls-cert-file", crt, "--tls-key-file", pk, "--tls-auth-clients", "no")
	admin := client(t, s.Addr)
	for _, command := range [][]any{
		{"ACL", "SETUSER", "app", "on", ">secret", "~*", "&*", "+@all"},
		{"CONFIG", "SET", "requirepass", "other"},
	} {
		if err := admin.Do(t.Context(), command...).Err(); err != nil {
			t.Fatal(err)
		}
	}
	options := must[*redis.Options](t)(redis.ParseURL(fmt.Sprintf("rediss://app:secret@127.0.0.1:%s", port)))
	options.TLSConfig.RootCAs = x509.NewCertPool()
	options.TLSConfig.RootCAs.AddCert(must[*x509.Certificate](t)(x509.ParseCertificate(certificate)))
	options.TLSConfig.MinVersion = tls.VersionTLS12
	c := redis.NewClient(options)
	t.Cleanup(func() { c.Close() })
	return c
}
