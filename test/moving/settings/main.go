// Command settings runs the product without ginauth. Open the address that it prints and
// sign in as admin, with the password "correct horse battery", or at the provider. Then press
// Enter: the new program takes the place of the old one, and you stay signed in.
package main

import (
	"bufio"
	"cmp"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"sync/atomic"

	"github.com/ginauth/ginauth/authtest"
	"github.com/ginauth/ginauth/test/moving/settings/after"
	"github.com/ginauth/ginauth/test/moving/settings/before"
	"github.com/ginauth/ginauth/test/moving/settings/product"
)

func main() {
	corp, err := authtest.Start(authtest.Config{})
	if err != nil {
		log.Fatal(err)
	}
	listener, err := net.Listen("tcp", cmp.Or(os.Getenv("ADDR"), "localhost:8080"))
	if err != nil {
		log.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(listener.Addr().String())
	install := product.Install{BaseURL: "http://localhost:" + port}
	db := product.NewDB("admin", "correct horse battery")
	db.SetProviders([]product.Provider{{Name: "corp", Title: "Corp", AuthorizeURL: corp.URL(authtest.Authorize), TokenURL: corp.URL(authtest.Token),
		UserinfoURL: corp.URL(authtest.Userinfo), ClientID: corp.ClientID, ClientSecret: corp.ClientSecret}})
	var app atomic.Pointer[http.Handler]
	use := func(handler http.Handler, err error) {
		if err != nil {
			log.Fatal(err)
		}
		app.Store(&handler)
	}
	use(before.New(install, db))
	go func() {
		if bufio.NewScanner(os.Stdin).Scan() {
			use(after.New(install, db))
			fmt.Println("this is ginauth")
		}
	}()
	fmt.Printf("open %s\n", install.BaseURL)
	log.Fatal(http.Serve(listener, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { (*app.Load()).ServeHTTP(w, r) })))
}
