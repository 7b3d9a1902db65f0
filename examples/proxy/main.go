// Command proxy runs a service behind a reverse proxy, both in this process. The service counts
// by the client address that the proxy reports.
//
//	curl -i localhost:8080/
//	curl -i -H 'X-Forwarded-For: 203.0.113.9' localhost:8080/
//
// Both requests count for your own address, which has 10 per minute. The proxy appends the address
// of its peer to X-Forwarded-For. The service trusts one proxy, so it believes only the last
// address in that field. The address in the second request is the claim of a client, and changes
// nothing.
//
// Here the client and the proxy have the same address. If the proxies of your service have
// addresses of their own, name them: clientip.TrustedProxies("10.0.0.0/8").
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
// $proxy_add_x_forwarded_for. A proxy may also drop the field that the client sent.
func newProxy(service *url.URL) http.Handler {
	return &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.Out.Header["X-Forwarded-For"] = r.In.Header["X-Forwarded-For"]
		r.SetXForwarded()
		r.SetURL(service)
	}}
}

const usage = `Try this, and see that the limiter counts you by your own address:
  curl -i -H 'X-Forwarded-For: 203.0.113.9' http://%s/
`

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
	fmt.Printf(usage, *addr)
	server := &http.Server{Addr: *addr, Handler: proxy, ReadHeaderTimeout: 5 * time.Second}
	log.Fatal(server.ListenAndServe())
}
