package clientip_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"

	"github.com/ratelimit-go/ratelimit/clientip"
)

// get returns a request of the peer, with what the peer wrote into X-Forwarded-For.
func get(peer, forwardedFor string) *http.Request {
	r := httptest.NewRequest(http.MethodGet, "/orders", nil)
	r.RemoteAddr = peer
	r.Header.Set("X-Forwarded-For", forwardedFor)
	return r
}

// A service behind a proxy logs the address of the client. It needs no limiter.
func Example() {
	source := clientip.ForwardedFor(clientip.TrustedProxies("10.0.0.0/8"))
	if err := source.Err(); err != nil {
		fmt.Println(err)
		return
	}
	handler := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		addr, err := source.Addr(r)
		if err != nil {
			fmt.Println(r.Method, r.URL.Path, err)
			return
		}
		fmt.Println(r.Method, r.URL.Path, "from", addr)
	})

	handler.ServeHTTP(nil, get("10.0.0.1:1234", "203.0.113.7"))
	handler.ServeHTTP(nil, get("10.0.0.1:1234", "2001:db8::7"))
	// Output:
	// GET /orders from 203.0.113.7
	// GET /orders from 2001:db8::7
}

// A client forges an address. The proxy appends the address of the client on the right.
func ExampleForwardedFor() {
	source := clientip.ForwardedFor(clientip.TrustedProxies("10.0.0.0/8", "fd00::/8"))

	fmt.Println(source.Addr(get("10.0.0.1:1234", "6.6.6.6, 203.0.113.7")))     // through the proxy
	fmt.Println(source.Addr(get("203.0.113.7:1234", "6.6.6.6, 198.51.100.1"))) // not through it
	// Output:
	// 203.0.113.7 <nil>
	// 203.0.113.7 <nil>
}

// Two proxies are in front of the service, and clients cannot reach it without them. The inner
// proxy is the peer. It reports the outer proxy, and the outer proxy reported the client.
func ExampleTrustedHops() {
	source := clientip.ForwardedFor(clientip.TrustedHops(2))

	fmt.Println(source.Addr(get("192.0.2.2:1234", "6.6.6.6, 203.0.113.7, 192.0.2.1")))
	// Output: 203.0.113.7 <nil>
}

// All customers of a CDN send from the same addresses. This service has a secret that the CDN adds
// to requests of its own account only.
func ExampleProxies_If() {
	cdn := clientip.TrustedProxies("192.0.2.0/24").If(func(r *http.Request) bool {
		return r.Header.Get("X-Edge-Secret") == "s3cret"
	})
	source := clientip.ForwardedFor(cdn)

	own := get("192.0.2.1:1234", "203.0.113.7")
	own.Header.Set("X-Edge-Secret", "s3cret")
	fmt.Println(source.Addr(own))

	foreign := get("192.0.2.1:1234", "6.6.6.6")
	fmt.Println(source.Addr(foreign))
	// Output:
	// 203.0.113.7 <nil>
	// 192.0.2.1 <nil>
}

// A provider gives each of its customers a /56, so a customer has 256 prefixes of the default
// length.
func ExampleSource_IPv6Prefix() {
	source := clientip.Remote().IPv6Prefix(56)

	fmt.Println(source.Client(get("[2001:db8:0:4201::1]:1234", "")))
	fmt.Println(source.Client(get("[2001:db8:0:42ff::2]:1234", "")))
	fmt.Println(source.Client(get("203.0.113.7:1234", "")))
	// Output:
	// 2001:db8:0:4200::/56 <nil>
	// 2001:db8:0:4200::/56 <nil>
	// 203.0.113.7/32 <nil>
}

func ExampleSet() {
	office, err := clientip.NewSet("203.0.113.0/24", "2001:db8::/32")
	if err != nil {
		panic(err)
	}
	fmt.Println(office.Contains(netip.MustParseAddr("203.0.113.7")))
	// Output: true
}
