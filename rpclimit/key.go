package rpclimit

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"sync"

	"github.com/ratelimit-go/ratelimit"
	"github.com/ratelimit-go/ratelimit/clientip"
)

// A Keyer says who made a call. It returns [ratelimit.ErrNoKey], or the zero Key, if the call has
// no such key. OnMissingKey then decides. Any other error, and a panic, is reported to Config.Error
// and then treated like a missing key. A Keyer must be safe for concurrent use.
type Keyer func(ctx context.Context, c Call) (ratelimit.Key, error)

// Transport is what an RPC framework knows of the call with a context. An adapter implements it. It
// must be safe for concurrent use.
type Transport interface {
	// Peer returns the address of the peer of the connection. It is invalid if the peer has none.
	Peer(ctx context.Context) netip.Addr
	// RemoteAddr returns the same as a text, as [http.Request] has it.
	RemoteAddr(ctx context.Context) string
	// Values returns the values of a header field or metadata, by its canonical name in HTTP.
	Values(ctx context.Context, name string) []string
	// Header returns all header fields. They must not be changed.
	Header(ctx context.Context) http.Header
	// TLS returns the state of the connection. It is nil without TLS or if it is not known.
	TLS(ctx context.Context) *tls.ConnectionState
}

// ByClientIP counts by the address of the client, found as the ClientIP of the limiter says. A rule
// without a Key counts by it. Metadata such as x-forwarded-for are read only from proxies that are
// named there. The keys are the keys of [ratelimit.ByClientIP].
func ByClientIP() Keyer {
	return func(ctx context.Context, c Call) (ratelimit.Key, error) {
		if c.source == nil { // a Call that no Guard has made
			return ratelimit.Key{}, ratelimit.ErrNoKey
		}
		return c.address(ctx, c.source)
	}
}

// ByIP counts by the address of the client, found as src says instead of as the limiter says.
// [clientip.Remote] is the peer of the connection. ByIP panics if src has a mistake.
func ByIP(src clientip.Source) Keyer {
	if err := src.Err(); err != nil {
		panic(fmt.Sprintf("rpclimit: ByIP: %v", err))
	}
	s := newSource(src)
	return func(ctx context.Context, c Call) (ratelimit.Key, error) { return c.address(ctx, s) }
}

// source is a clientip.Source. If it reads no header field, it needs no [http.Request].
type source struct {
	clientip.Source
	peerOnly bool
}

func newSource(src clientip.Source) *source {
	return &source{src, src.Trace(&http.Request{}).Field == ""}
}

// address returns the key of the client of c.
func (c *Call) address(ctx context.Context, src *source) (ratelimit.Key, error) {
	if src.peerOnly {
		return ratelimit.PrefixKey(src.Prefix(c.Transport.Peer(ctx))), nil
	}
	r := &http.Request{
		Method: http.MethodPost, URL: &url.URL{Path: c.Method}, RemoteAddr: c.Transport.RemoteAddr(ctx),
		Header: c.Transport.Header(ctx), TLS: c.Transport.TLS(ctx),
	}
	prefix, err := src.Client(r.WithContext(ctx))
	if errors.Is(err, clientip.ErrNoAddr) {
		err = ratelimit.ErrNoKey
	}
	return ratelimit.PrefixKey(prefix), err
}

// ByMetadata counts by the value of a metadata entry or header field, such as an API key that an
// outer interceptor has checked. The value is hashed. A missing value, an empty one and several
// values are no key. If nothing checks the value, each client can have as many keys as it likes.
// The keys are the keys of [ratelimit.ByHeader]. ByMetadata panics if name is not the name of a
// field.
func ByMetadata(name string) Keyer {
	if name == "" || strings.Trim(strings.ToLower(name), "abcdefghijklmnopqrstuvwxyz0123456789-_.") != "" {
		panic(fmt.Sprintf("rpclimit: ByMetadata(%s): want a name such as \"x-api-key\"", quote(name)))
	}
	field := http.CanonicalHeaderKey(name)
	byHeader := ratelimit.ByHeader(field)
	requests := sync.Pool{New: func() any { return &http.Request{Header: http.Header{}} }}
	return func(ctx context.Context, c Call) (ratelimit.Key, error) {
		r := requests.Get().(*http.Request)
		r.Header[field] = c.Transport.Values(ctx, field)
		k, err := byHeader.Key(r)
		r.Header[field] = nil // no value stays behind
		requests.Put(r)
		return k, err
	}
}

// ByUser counts by the name or number of a user, which user returns, such as from a context into
// which authentication has put it. "" means that the call has none. Put authentication around the
// interceptor. Return what it has established, never what the client merely claims.
func ByUser(user func(ctx context.Context) string) Keyer {
	return func(ctx context.Context, _ Call) (ratelimit.Key, error) {
		return ratelimit.UserKey(user(ctx)), nil
	}
}

// ByValue is [ByUser] for a key of your own kind, such as a tenant: see [ratelimit.ValueKey].
func ByValue(name string, value func(ctx context.Context) string) Keyer {
	return func(ctx context.Context, _ Call) (ratelimit.Key, error) {
		return ratelimit.ValueKey(name, value(ctx)), nil
	}
}

// ByCertificate counts by the subject of the client's TLS certificate, such as "CN=billing,O=Acme".
// A certificate that the server has not verified is no key, and so is an empty subject. The server
// must require a certificate of its own authority, because other authorities can use any subject.
func ByCertificate() Keyer {
	return func(ctx context.Context, c Call) (ratelimit.Key, error) {
		state := c.Transport.TLS(ctx)
		if state == nil || len(state.VerifiedChains) == 0 || len(state.VerifiedChains[0]) == 0 {
			return ratelimit.Key{}, ratelimit.ErrNoKey
		}
		return ratelimit.ValueKey("certificate", state.VerifiedChains[0][0].Subject.String()), nil
	}
}

// ByMethod counts by the name of the method. Join it with other keys by [AllOf].
func ByMethod() Keyer {
	return func(_ context.Context, c Call) (ratelimit.Key, error) {
		return ratelimit.ValueKey("method", c.Method), nil
	}
}

// Global counts all calls together under the given name. It panics if name is empty.
func Global(name string) Keyer {
	k := ratelimit.ValueKey("global", name)
	if k.IsZero() {
		panic(`rpclimit: Global(""): want a name`)
	}
	return func(context.Context, Call) (ratelimit.Key, error) { return k, nil }
}

// AllOf is all keys together, such as each user on each method. If the call lacks one of them, it
// lacks the combination.
func AllOf(keyers ...Keyer) Keyer {
	return func(ctx context.Context, c Call) (ratelimit.Key, error) {
		keys := make([]ratelimit.Key, len(keyers))
		for i, by := range keyers {
			k, err := by(ctx, c)
			if err != nil || k.IsZero() {
				return ratelimit.Key{}, err
			}
			keys[i] = k
		}
		return ratelimit.JoinKeys(keys...), nil
	}
}

// FirstOf is the first key that the call has, such as the user or else the address. An error other
// than [ratelimit.ErrNoKey] ends the search.
func FirstOf(keyers ...Keyer) Keyer {
	return func(ctx context.Context, c Call) (ratelimit.Key, error) {
		for _, by := range keyers {
			k, err := by(ctx, c)
			if err != nil && !errors.Is(err, ratelimit.ErrNoKey) || err == nil && !k.IsZero() {
				return k, err
			}
		}
		return ratelimit.Key{}, ratelimit.ErrNoKey
	}
}
