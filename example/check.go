package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"net"
	"os"
)

// check prints the problems of the providers, the options and the stores. It does not listen,
// since the application may be running.
func check(ctx context.Context, out io.Writer) error {
	base := publicBase(address())
	list, closeDemo, err := allProviders(base)
	if err != nil {
		return err
	}
	defer closeDemo()
	_, auth, err := newApp(base, list)
	if err != nil {
		return err
	}
	found := auth.Diagnose(ctx)
	if _, err := fmt.Fprint(out, found); err != nil {
		return err
	}
	if n := len(found.Problems); n > 0 {
		return fmt.Errorf("problems found: %d", n)
	}
	return nil
}

// address returns the address to listen on.
func address() string { return cmp.Or(os.Getenv("ADDR"), "localhost:8080") }

// publicBase returns the URL at which browsers reach the listener.
func publicBase(listening string) string {
	return cmp.Or(os.Getenv("BASE_URL"), "http://"+publicHost(address(), listening))
}

// publicHost returns the host at which browsers on this machine reach a listener.
func publicHost(addr, listening string) string {
	host, _, _ := net.SplitHostPort(addr)
	_, port, _ := net.SplitHostPort(listening)
	return net.JoinHostPort(cmp.Or(host, "localhost"), port)
}
