package stores_test

import (
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"testing"
	"time"
)

// fault is what can happen to a network.
type fault string

const (
	fine     fault = "fine"
	refused  fault = "refused"   // connections end, and new ones are refused
	reset    fault = "reset"     // connections are reset
	delayed  fault = "delayed"   // everything comes late
	halfOpen fault = "half open" // nothing comes through, and neither side is told
	moved    fault = "moved"     // the same, but new connections work
	noReply  fault = "no reply"  // what the server says is lost
	noCall   fault = "no call"   // what the client says is lost
)

// line is a network between one process and its server. What a fault has swallowed is
// lost: a connection that it has touched stays as it is afterwards.
type line struct {
	listener net.Listener
	mu       sync.Mutex
	target   string // of new connections
	now      fault
	delay    time.Duration
	open     map[*call]bool
}

// call is one connection, with both its ends.
type call struct {
	near, far net.Conn
	lost      fault // what became of it
}

func newLine(t testing.TB, target string) *line {
	t.Helper()
	l := &line{listener: must[net.Listener](t)(net.Listen("tcp", "127.0.0.1:0")), target: target, now: fine, open: map[*call]bool{}}
	t.Cleanup(func() { l.listener.Close(); l.become(refused) })
	go func() {
		for {
			near, err := l.listener.Accept()
			if err != nil {
				return
			}
			go l.carry(near)
		}
	}()
	return l
}

func (l *line) addr() string { return l.listener.Addr().String() }

// become makes a fault happen.
func (l *line) become(f fault) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.now, l.delay = f, time.Duration(10+rand.IntN(300))*time.Millisecond
	for c := range l.open {
		switch f {
		case refused:
			c.hangUp()
		case reset:
			_ = c.near.(*net.TCPConn).SetLinger(0)
			c.hangUp()
		case halfOpen, moved, noReply, noCall:
			if c.lost == fine {
				c.lost = f
			}
		}
	}
}

// lead makes new connections go elsewhere. Those that there are stay where they are.
func (l *line) lead(target string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.target = target
}

func (c *call) hangUp() {
	c.near.Close()
	c.far.Close()
}

func (l *line) carry(near net.Conn) {
	l.mu.Lock()
	now, target := l.now, l.target
	l.mu.Unlock()
	if now == refused || now == reset {
		_ = near.(*net.TCPConn).SetLinger(0)
		near.Close()
		return
	}
	far, err := net.Dial("tcp", target)
	if err != nil {
		near.Close()
		return
	}
	c := &call{near: near, far: far, lost: fine}
	l.mu.Lock()
	if l.now == halfOpen || l.now == noReply || l.now == noCall {
		c.lost = l.now
	}
	l.open[c] = true
	l.mu.Unlock()
	go l.copy(c, far, near, noCall)
	l.copy(c, near, far, noReply)
	l.mu.Lock()
	delete(l.open, c)
	l.mu.Unlock()
}

// copy carries one direction, which is lost in a fault of its own.
func (l *line) copy(c *call, to io.Writer, from io.Reader, own fault) {
	defer c.hangUp()
	buffer := make([]byte, 1<<14)
	for {
		n, err := from.Read(buffer)
		if err != nil {
			return
		}
		l.mu.Lock()
		late := time.Duration(0)
		if l.now == delayed {
			late = l.delay
		}
		lost := c.lost == own || c.lost == halfOpen || c.lost == moved
		l.mu.Unlock()
		time.Sleep(late) // a slow network
		if lost {
			continue
		}
		if _, err := to.Write(buffer[:n]); err != nil {
			return
		}
	}
}
