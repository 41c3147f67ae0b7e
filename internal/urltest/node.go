package urltest

import (
	"bufio"
	_ "embed"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
)

//go:embed resolve.js
var resolver string

// Node is a process of Node.js that resolves URLs.
type Node struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader
}

// Ref is a reference on a page. Invalid UTF-8 becomes U+FFFD, as in a browser.
type Ref struct{ Href, Base string }

// URL is a resolved reference, with the terms of the URL standard. The zero value stands for an
// invalid reference.
type URL struct {
	Origin, Path, Search, Hash string
	ReturnTo                   string // the search parameter return_to
}

// StartNode starts Node.js.
func StartNode() (*Node, error) {
	n := &Node{cmd: exec.Command("node", "-e", resolver)}
	n.cmd.Stderr = os.Stderr
	in, err := n.cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := n.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	n.in, n.out = in, bufio.NewReaderSize(out, 1<<16)
	if err := n.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start Node.js, which this needs: %w", err)
	}
	return n, nil
}

// Close ends the process.
func (n *Node) Close() error {
	_ = n.in.Close()
	return n.cmd.Wait()
}

// Resolve resolves references in one batch.
func (n *Node) Resolve(refs []Ref) ([]URL, error) {
	sent := make(chan error, 1)
	go func() {
		w := bufio.NewWriter(n.in)
		enc := json.NewEncoder(w)
		for _, r := range refs {
			if err := enc.Encode([2]string{r.Href, r.Base}); err != nil {
				sent <- err
				return
			}
		}
		sent <- w.Flush()
	}()
	urls := make([]URL, len(refs))
	for i := range urls {
		line, err := n.out.ReadBytes('\n')
		if err != nil {
			return nil, fmt.Errorf("read from Node.js: %w", err)
		}
		var answer []string
		if err := json.Unmarshal(line, &answer); err != nil {
			return nil, fmt.Errorf("read from Node.js: %w", err)
		}
		if len(answer) == 5 {
			urls[i] = URL{answer[0], answer[1], answer[2], answer[3], answer[4]}
		}
	}
	return urls, <-sent
}
