package stores_test

import (
	"io"
	"net"
	"sync"
	"testing"
)

// relay stands between a store and its server, to take the server away from
// one test and leave it to the others.
type relay struct {
	t        testing.TB
	Addr     string
	target   string
	mu       sync.Mutex
	listener net.Listener
	open     map[net.Conn]bool
}

func newRelay(t testing.TB, target string) *relay {
	t.Helper()
	r := &relay{t: t, Addr: "127.0.0.1:0", target: target, open: map[net.Conn]bool{}}
	r.listen()
	t.Cleanup(r.close)
	return r
}

func (r *relay) listen() {
	r.t.Helper()
	l := must[net.Listener](r.t)(net.Listen("tcp", r.Addr))
	r.mu.Lock()
	r.Addr, r.listener = l.Addr().String(), l
	r.mu.Unlock()
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go r.carry(conn)
		}
	}()
}

func (r *relay) carry(near net.Conn) {
	far, err := net.Dial("tcp", r.target)
	if err != nil {
		near.Close()
		return
	}
	r.keep(near, far)
	go func() {
		_, _ = io.Copy(far, near)
		far.Close()
	}()
	_, _ = io.Copy(near, far)
	near.Close()
}

func (r *relay) keep(conns ...net.Conn) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, c := range conns {
		r.open[c] = true
	}
}

// Break refuses connections and ends those that there are; what it returns
// ends that.
func (r *relay) Break() (mend func()) {
	r.close()
	return r.listen
}

func (r *relay) close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.listener.Close()
	for c := range r.open {
		c.Close()
	}
	clear(r.open)
}
