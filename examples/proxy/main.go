// Command proxy runs a service behind a reverse proxy, both in this process, and counts by the
// address that the proxy reports.
//
//	curl -i localhost:8080/                                  # 10 per minute for you
//	curl -i -H 'X-Forwarded-For: 203.0.113.9' localhost:8080/ # still you: the claim is not believed
//
// The proxy appends the address it was connected from to X-Forwarded-For. The service believes
// as many entries of that field, from the right, as there are proxies: one. A service that
// knows its proxies' addresses names them instead, by TrustedProxies("10.0.0.0/8"); here
// client and proxy have the same one.
package main

import (
	"flag"
	"fmt"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"time"

	"github.com/ratelimit-go/ratelimit"
	"github.com/ratelimit-go/ratelimit/clientip"
)

// newService returns the service behind proxies.
func newService(proxies clientip.Proxies) (http.Handler, error) {
	limiter, err := ratelimit.New(ratelimit.Config{
		ClientIP: clientip.ForwardedFor(proxies),
		Rules:    []ratelimit.Rule{{Name: "per-client", Limits: ratelimit.MustParse("10 per minute")}},
	})
	if err != nil {
		return nil, err
	}
	return limiter.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		d, _ := ratelimit.DecisionFrom(r.Context())
		_, _ = fmt.Fprintf(w, "%s has %d left\n", d.Key, d.Remaining)
	})), nil
}

// newProxy returns a proxy that appends to X-Forwarded-For, as nginx does with
// $proxy_add_x_forwarded_for. (Dropping what the client sent would be just as good.)
func newProxy(service *url.URL) http.Handler {
	return &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.Out.Header["X-Forwarded-For"] = r.In.Header["X-Forwarded-For"]
		r.SetXForwarded()
		r.SetURL(service)
	}}
}

func main() {
	addr := flag.String("addr", "127.0.0.1:8080", "address of the proxy")
	flag.Parse()
	service, err := newService(clientip.TrustedHops(1))
	if err != nil {
		log.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	go func() { log.Fatal((&http.Server{Handler: service, ReadHeaderTimeout: 5 * time.Second}).Serve(l)) }()
	proxy := newProxy(&url.URL{Scheme: "http", Host: l.Addr().String()})
	fmt.Printf("Try, and see that you are counted by your own address:\n  curl -i -H 'X-Forwarded-For: 203.0.113.9' http://%s/\n", *addr)
	log.Fatal((&http.Server{Addr: *addr, Handler: proxy, ReadHeaderTimeout: 5 * time.Second}).ListenAndServe())
}
