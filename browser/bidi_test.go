package browser

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"

	"github.com/coder/websocket"
)

// remote speaks WebDriver BiDi (https://w3c.github.io/webdriver-bidi/), the one
// protocol that both browsers have.
type remote struct {
	socket *websocket.Conn
	ended  chan struct{} // when nothing comes any more

	mu      sync.Mutex
	last    int
	waiting map[int]chan message
	watch   func(message) // gets every event, in order
}

// message is what comes from the browser: the answer to a command, or an event.
type message struct {
	Type    string          `json:"type"`
	ID      int             `json:"id"`
	Result  json.RawMessage `json:"result"`
	Error   string          `json:"error"`
	Message string          `json:"message"`
	Method  string          `json:"method"`
	Params  json.RawMessage `json:"params"`
}

// args are a command's parameters.
type args map[string]any

func dial(ctx context.Context, url string, watch func(message)) (*remote, error) {
	socket, response, err := websocket.Dial(ctx, url, nil)
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", url, err)
	}
	if response.Body != nil {
		_ = response.Body.Close()
	}
	socket.SetReadLimit(64 << 20) // screenshots
	r := &remote{socket: socket, ended: make(chan struct{}), waiting: map[int]chan message{}, watch: watch}
	go r.read()
	return r, nil
}

func (r *remote) read() {
	defer close(r.ended)
	for {
		_, raw, err := r.socket.Read(context.Background())
		if err != nil {
			return
		}
		var m message
		if err := json.Unmarshal(raw, &m); err != nil {
			return
		}
		if m.Type == "event" {
			r.watch(m)
			continue
		}
		r.mu.Lock()
		if answer := r.waiting[m.ID]; answer != nil {
			answer <- m
			delete(r.waiting, m.ID)
		}
		r.mu.Unlock()
	}
}

// call sends a command and decodes its result, if somebody wants it.
func (r *remote) call(ctx context.Context, method string, params args, result any) error {
	answer := make(chan message, 1)
	r.mu.Lock()
	r.last++
	id := r.last
	r.waiting[id] = answer
	r.mu.Unlock()
	if params == nil {
		params = args{}
	}
	raw, err := json.Marshal(map[string]any{"id": id, "method": method, "params": params})
	if err != nil {
		return err
	}
	if err := r.socket.Write(ctx, websocket.MessageText, raw); err != nil {
		return fmt.Errorf("%s: %w", method, err)
	}
	select {
	case m := <-answer:
		switch {
		case m.Type == "error":
			return fmt.Errorf("%s: %s: %s", method, m.Error, m.Message)
		case result == nil:
			return nil
		}
		return json.Unmarshal(m.Result, result)
	case <-r.ended:
		return fmt.Errorf("%s: the browser has ended", method)
	case <-ctx.Done():
		return fmt.Errorf("%s: %w", method, ctx.Err())
	}
}
