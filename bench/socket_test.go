package bench_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"testing"
)

// serveChild serves on a loopback port until its input ends. Whenever it reads a line, it prints the
// CPU time that this process has used.
func serveChild(h http.Handler, cookies string) {
	listener := must(net.Listen("tcp", "127.0.0.1:0"))
	go func() { panic((&http.Server{Handler: h}).Serve(listener)) }()
	fmt.Printf("http://%s\n%s\n", listener.Addr(), cookies)
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		fmt.Println(cpu().Nanoseconds())
	}
}

// sockets are the cases that are also measured over a real connection.
var sockets = []string{"bare", "ours", "contrib-aes-json", "gothic"}

// BenchmarkSocket measures a request over a persistent connection to a server in a separate process,
// including the work of net/http. server-cpu-ns/op is the CPU time of the server: with one connection,
// where it sleeps between requests, and with eight, where it hardly does.
func BenchmarkSocket(b *testing.B) {
	for _, name := range sockets {
		server := sync.OnceValue(func() *child { return spawn("server " + name) })
		for _, connections := range []int{1, 8} {
			b.Run(socketName(name, connections), func(b *testing.B) { overSocket(b, server(), connections) })
		}
	}
}

func socketName(name string, connections int) string { return fmt.Sprintf("%s-%dc", name, connections) }

func overSocket(b *testing.B, server *child, connections int) {
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: connections}}
	defer client.CloseIdleConnections()
	var left atomic.Int64
	left.Store(int64(b.N))
	var all sync.WaitGroup
	before := server.cpu()
	for range connections {
		all.Go(func() {
			r := must(http.NewRequest("GET", server.url+page, nil))
			r.Header["Cookie"] = []string{server.cookies}
			for left.Add(-1) >= 0 && askOnce(b, client, r) {
			}
		})
	}
	all.Wait()
	b.ReportMetric(float64(server.cpu()-before)/float64(b.N), "server-cpu-ns/op")
}

func askOnce(b *testing.B, client *http.Client, r *http.Request) bool {
	answer, err := client.Do(r)
	if err != nil {
		b.Error(err)
		return false
	}
	_, _ = io.Copy(io.Discard, answer.Body)
	_ = answer.Body.Close()
	if answer.StatusCode != http.StatusNoContent {
		b.Error(answer.Status)
	}
	return answer.StatusCode == http.StatusNoContent
}
