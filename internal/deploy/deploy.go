// Package deploy finds out at the first requests that a service is not deployed as its
// configuration says, so that all clients have one address.
package deploy

import (
	"context"
	"fmt"
	"net/http"
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/ratelimit-go/ratelimit/clientip"
)

// How many requests are looked at.
const (
	most    = 1000 // in all
	sampled = 100  // for what shows only in several
	few     = 10   // that show a balancer which appends its own address
	// maxSites is of how many rules a Watch remembers where their decorators were made.
	maxSites = 1000
)

// A Watch looks at the first requests of a limiter. It is safe for concurrent use. Make it with
// [New].
type Watch struct {
	config  clientip.Source // Config.ClientIP
	once    func(ctx context.Context, what any, err error)
	done    atomic.Bool
	seen    atomic.Int64
	mu      sync.Mutex
	samples map[clientip.Source]*sample
	sites   map[string]Site
}

// New returns a Watch for a limiter whose Config.ClientIP is config. It passes each problem to
// once, with a value by which to tell problems apart.
func New(config clientip.Source, once func(ctx context.Context, what any, err error)) *Watch {
	return &Watch{
		config: config, once: once,
		samples: map[clientip.Source]*sample{}, sites: map[string]Site{},
	}
}

// See looks at r, whose client is found by sources, and reports whether r is one of the first
// requests. After these it loads a word only.
func (w *Watch) See(r *http.Request, sources []clientip.Source) bool {
	if w.done.Load() {
		return false
	}
	w.look(r, sources)
	return true
}

// Begun reports whether there was a request.
func (w *Watch) Begun() bool { return w.seen.Load() > 0 }

// A Site is a place in a program.
type Site uintptr

// Caller returns the place from which the caller of Caller was called.
func Caller() Site {
	pc, _, _, _ := runtime.Caller(2)
	return Site(pc)
}

// Again notes that site makes a decorator with the named rule. It reports whether that site has
// done so before, while requests are served: it probably does so for each request.
func (w *Watch) Again(name string, site Site) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if first, found := w.sites[name]; found {
		return first == site && w.Begun()
	}
	if len(w.sites) < maxSites {
		w.sites[name] = site
	}
	return false
}

func (w *Watch) look(r *http.Request, sources []clientip.Source) {
	if w.seen.Add(1) >= most {
		w.done.Store(true)
	}
	defer func() { _ = recover() }() // a panic of the user's function is reported where it decides
	for _, src := range sources {
		t := src.Trace(r)
		for _, p := range w.judge(src, &t) {
			w.once(r.Context(), p.kind, fmt.Errorf("ratelimit: "+p.format, p.args...))
		}
	}
}

// A problem is what is wrong with a deployment.
type problem struct {
	kind   kind
	format string
	args   []any
}

// A kind is a kind of problem. Each is reported once.
type kind uint8

const (
	onUnixSocket kind = iota
	noProxyNamed
	peerNotTrusted
	anotherField
	appended
	proxyIsSilent
	onlyTrusted
	tooManyHops
	noAddressInField
	onePrivatePeer
	unreadField
	addressIsMissing
	noAddress
)

// judge returns what is wrong, by a request and by those before.
func (w *Watch) judge(src clientip.Source, t *clientip.Trace) (all []problem) {
	w.mu.Lock()
	defer w.mu.Unlock()
	s := w.samples[src]
	if s == nil {
		s = new(sample)
		w.samples[src] = s
	}
	if s.requests < sampled {
		s.add(t)
		if p, ok := s.judge(t, w.name(src)); ok {
			all = append(all, p)
		}
	}
	if p, ok := judgeOne(t, w.name(src), s.trusted); ok {
		all = append(all, p)
	}
	return all
}

// name returns where src was written.
func (w *Watch) name(src clientip.Source) string {
	if src == w.config {
		return "Config.ClientIP"
	}
	return "the ClientIP of a rule or login"
}

// The texts of problems. A peer and addresses are as netip writes them. No text is of a client.
const (
	textUnix = "requests come over a unix socket, which has no addresses, " +
		"and %s trusts no proxy there: all clients share one bucket; write ClientIP: %s"
	textNoProxy = "%s is present, but %s trusts no proxy: all clients behind %v share one bucket; " +
		"if %[3]v is your proxy, write ClientIP: %s; " +
		"if not, a client has sent the field, and it is ignored"
	textNotTrusted = "%s is present, but %s does not trust %v, which has sent it: " +
		"all clients behind %[3]v share one bucket; " +
		"if %[3]v is your proxy, name it, as in ClientIP: %s; " +
		"if not, a client has reached the service without your proxy, and the field is ignored"
	textAnotherField = "%s reads %s, but %v has sent %s instead: " +
		"all clients behind %[3]v share one bucket; " +
		"if %[3]v always sends %[4]s, write ClientIP: %[5]s"
	textAppended = "%s finds the client %v, before which %s has other addresses: " +
		"all clients behind %[2]v share one bucket; " +
		"if %[2]v is a proxy or a balancer that appends its own address, " +
		"trust it too, as in ClientIP: %[4]s; " +
		"if it is one client, it has sent the field itself"
	textSilent = "none of the first %d requests from %v has %s, which %s reads: " +
		"all clients behind %[2]v share one bucket; configure %[2]v to send the field"
	textOnlyTrusted = "%s trusts every address in %s of the first %d requests: " +
		"all clients behind %v share one bucket; trust the addresses of proxies only"
	textTooManyHops = "%s trusts more hops than %s of %d requests has addresses: " +
		"all clients behind %v share one bucket, and a client that sends the field itself can choose its " +
		"address; write clientip.TrustedHops with the number of your proxies"
	textNoAddressInField = "%s of the first %d requests has text that is no address, where %s looks for " +
		"the client: all clients behind %v share one bucket; " +
		"let the proxy send one plain address for each hop, or read another field"
	textUnread = "%s finds the client %v by %s, but %v has sent %s with another address: " +
		"if a CDN sends it, all clients of the CDN's server %[2]v share one bucket; " +
		"trust the addresses of the CDN too, in clientip.ForwardedFor, or read %[5]s " +
		"if all requests come through the CDN; if not, a client has sent the field, and it is ignored"
	textMissing = "the first %d requests have %s and no field with the address of the client: all clients " +
		"behind %v share one bucket; let the proxy send X-Forwarded-For, and write ClientIP: %s"
	textNoAddress = "requests have no address, because their RemoteAddr is none, " +
		"and %s trusts no proxy there: all clients share one bucket; " +
		"set RemoteAddr in an outer handler, such as to 192.0.2.1:1"
	textPrivate = "the first %d requests all came from the private address %v: " +
		"if it is a proxy or a balancer, all clients behind it share one bucket; " +
		"let it send X-Forwarded-For, and write ClientIP: %s"
)

// judgeOne returns what a single request shows.
func judgeOne(t *clientip.Trace, name string, trusted bool) (problem, bool) {
	with := func(k kind, format string, args ...any) (problem, bool) {
		return problem{k, format, args}, true
	}
	switch {
	case !t.Peer.IsValid() && t.Unix && !t.Trusted:
		return with(onUnixSocket, textUnix, name, suggest(t.Present, "unix"))
	case !t.Peer.IsValid() && !t.Trusted:
		return with(noAddress, textNoAddress, name)
	case !t.Peer.IsValid(), t.Present == "":
		return problem{}, false
	}
	switch proxy := t.Peer.String(); {
	case t.Field == "":
		return with(noProxyNamed, textNoProxy, t.Present, name, proxy, suggest(t.Present, proxy))
	case !t.Trusted && !trusted:
		return with(peerNotTrusted, textNotTrusted, t.Present, name, proxy, suggest(t.Present, proxy))
	case t.Unread != "":
		return with(unreadField, textUnread, name, t.Addr, t.Field, proxy, t.Unread)
	case t.Trusted && t.Present != t.Field:
		write := suggest(t.Present, proxy)
		return with(anotherField, textAnotherField, name, t.Field, proxy, t.Present, write)
	}
	return problem{}, false
}

// suggest returns the source to write for a proxy that sends the named field.
func suggest(field, proxy string) string {
	proxies := fmt.Sprintf("clientip.TrustedProxies(%q)", proxy)
	switch field {
	case "", "X-Forwarded-For":
		return "clientip.ForwardedFor(" + proxies + ")"
	case "Forwarded":
		return "clientip.Forwarded(" + proxies + ")"
	}
	return fmt.Sprintf("clientip.Header(%q, %s)", field, proxies)
}
