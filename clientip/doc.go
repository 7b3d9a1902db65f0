// Package clientip finds the address of the client that sent an HTTP request.
//
// Behind a proxy, the peer of a connection is the proxy. The proxy reports the client in a header
// field, but clients can write that field too. Therefore a [Source] reads the field only from
// proxies that you name, and believes only what these proxies wrote:
//
//	package main
//
//	import (
//		"log"
//		"net/http"
//
//		"github.com/ratelimit-go/ratelimit/clientip"
//	)
//
//	func main() {
//		source := clientip.ForwardedFor(clientip.TrustedProxies("10.0.0.0/8"))
//		if err := source.Err(); err != nil {
//			log.Fatal(err)
//		}
//		http.HandleFunc("/", func(_ http.ResponseWriter, r *http.Request) {
//			addr, err := source.Addr(r)
//			log.Println(r.URL.Path, "from", addr, err)
//		})
//		log.Fatal(http.ListenAndServe(":8080", nil))
//	}
//
// Choose the source by how clients reach the service:
//
//	clients connect directly                  Remote()
//	proxies with known addresses              ForwardedFor(TrustedProxies("10.0.0.0/8"))
//	the same, with the field of RFC 7239      Forwarded(TrustedProxies("10.0.0.0/8"))
//	n proxies that no client can bypass       ForwardedFor(TrustedHops(n))
//	a CDN that sets a field of its own        Header("CF-Connecting-IP", TrustedProxies(...))
//	a CDN whose other customers reach you     ForwardedFor(TrustedProxies(...).If(hasSecret))
//	proxies whose addresses change            ForwardedFor(TrustedProxiesFunc(isProxy))
//	a proxy on a unix socket                  ForwardedFor(TrustedProxies("unix"))
//
// No address is trusted unless you name it, not even a loopback or a private address. The package
// contains no address ranges of any CDN, because they would soon be out of date.
//
// All addresses are canonical: see [Canonical]. [Source.Prefix] and [Source.Client] return the
// prefix that tells clients apart, because one IPv6 client has at least a /64 of addresses.
package clientip
