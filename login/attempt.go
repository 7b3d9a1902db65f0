package login

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"sync"

	"github.com/ratelimit-go/ratelimit"
	"github.com/ratelimit-go/ratelimit/clientip"
	"github.com/ratelimit-go/ratelimit/store"
)

// An attempt is one request to a login route. It is in the context of the request, where the rules
// and the handler find it. The rules read the request and call the store by it, so a request that
// no rule applies to is not read.
type attempt struct {
	guard    *Guard
	cfg      *settings
	outer    *attempt    // of a guard around this one
	none     bool        // the request carries no password
	mute     bool        // its response proves no success
	before   http.Header // of the response, of outer middleware
	where    place
	identity       // of the account that the request names
	named    bool  // the request names an account
	err      error // of reading the request
	wasRead  bool

	mu       sync.Mutex // http.TimeoutHandler leaves a running handler behind
	reported bool       // the handler said that it has succeeded
	foundKey ratelimit.Key
	found    []identity // accounts that the handler has found, and that were charged
	judged   bool
	settled  bool // the limiter has seen the response, and asked whether it counts
	outcome  outcome
	ended    bool
}

// A place is where an attempt comes from. An attempt that a page of another origin sent counts as
// one from another address, so other sites cannot use up the attempts of a user of theirs.
type place struct {
	source
	address, network ratelimit.Key
}

// A source is what the address of a place is made of.
type source struct {
	client    ratelimit.Key // of the address alone
	elsewhere bool          // a page of another origin sent the attempt
}

// address returns the key of the source.
func (s source) address() ratelimit.Key {
	if s.elsewhere {
		return ratelimit.JoinKeys(s.client, ratelimit.ValueKey("site", "other"))
	}
	return s.client
}

// pair returns the key of an account as the source uses it.
func (s source) pair(account ratelimit.Key) ratelimit.Key {
	return ratelimit.JoinKeys(account, s.address())
}

// An identity is an account as one place tries to use it.
type identity struct {
	account, pair ratelimit.Key
	asked, known  bool // whether the pair is known
}

type attemptKey struct{}

func attemptIn(ctx context.Context) *attempt {
	a, _ := ctx.Value(attemptKey{}).(*attempt)
	return a
}

// attemptOf returns the attempt of r. If the handler has replaced the context of r, the attempt is
// lost, and attemptOf returns another one, which clears and remembers nothing.
func attemptOf(r *http.Request) *attempt {
	if a := attemptIn(r.Context()); a != nil {
		return a
	}
	return new(attempt)
}

// noAccount is the account of all attempts that name none.
var noAccount = ratelimit.ValueKey("account", "none")

// read finds the keys of the attempt in r, and returns a. Only the first call reads anything.
func (a *attempt) read(r *http.Request) *attempt {
	if a.wasRead || a.none {
		return a
	}
	a.wasRead = true
	var key ratelimit.Key
	account := safely("Account", func() error {
		key = accountKey(a.cfg.Account(r))
		return nil
	})
	if a.named = !key.IsZero(); !a.named {
		key = noAccount
	}
	address := safely("ClientIP", func() error {
		prefix, err := a.guard.source(a.cfg).Client(r)
		if errors.Is(err, clientip.ErrNoAddr) {
			return nil
		}
		a.where = placeOf(prefix, isElsewhere(r))
		return err
	})
	a.err = errors.Join(account, address)
	a.identity = identify(key, a.where)
	a.cfg.watch.read(a.named)
	return a
}

// placeOf returns the place of a client, which is in its own bucket if it is elsewhere.
func placeOf(prefix netip.Prefix, elsewhere bool) place {
	from := source{ratelimit.PrefixKey(prefix), elsewhere}
	return place{from, from.address(), ratelimit.PrefixKey(networkOf(prefix))}
}

// networkOf returns the network of a client: /24 for IPv4 and /48 for IPv6, or a shorter prefix by
// which the client itself is counted.
func networkOf(client netip.Prefix) netip.Prefix {
	bits := 48
	if client.Addr().Is4() {
		bits = 24
	}
	network, _ := client.Addr().Prefix(min(bits, client.Bits()))
	return network
}

// safely calls a function of a field of [Config], and returns its error or its panic.
func safely(field string, f func() error) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("login.%s: panic: %v", field, v)
		}
	}()
	return f()
}

// call calls a function of a field of [Config]. If it panics, the panic names the field.
func call(field string, f func() bool) bool {
	defer func() {
		if v := recover(); v != nil {
			panic(fmt.Sprintf("login.%s: %v", field, v))
		}
	}()
	return f()
}

// identify returns the identity of an account at a place.
func identify(account ratelimit.Key, at place) identity {
	return identity{account: account, pair: ratelimit.JoinKeys(account, at.address)}
}

// isKnown asks the store whether the pair is known. Only the first call does.
func (id *identity) isKnown(ctx context.Context, g *Guard, cfg *settings) bool {
	if !id.asked && id.account != noAccount && !id.pair.IsZero() {
		d, err := g.limiter.Peek(ctx, cfg.known(), id.pair)
		id.known = err == nil && saysKnown(d)
	}
	id.asked = true
	return id.known
}

// saysKnown reports whether d, a Peek under the rule NAME-known, says that a pair is known: its
// bucket has no token. If the store has no room for the bucket, pairs share it, and it says
// nothing.
func saysKnown(d ratelimit.Decision) bool {
	return d.StoreErr == nil && !d.Allowed && !d.Overflow
}

// done remembers a success, and clears the failures of its account and of its pair. If no account
// is known to the guard, it clears nothing. Otherwise clients with an account of their own could
// hide its name, and so clear the failures of their guesses at other accounts.
func (a *attempt) done(ctx context.Context) {
	a.mu.Lock()
	a.ended = true
	if a.reported {
		a.outcome = success
	}
	reached := a.judged || a.reported // the handler was called, and the limiter is not off
	a.mu.Unlock()
	if a.none || !reached {
		return
	}
	a.cfg.watch.judged(a)
	switch a.outcome {
	case success:
		more := append(a.uncounted(), a.refundsOfAll()...)
		a.guard.remember(ctx, a.cfg, a.succeeded(ctx), more)
	case neither:
		_, _ = a.guard.limiter.Apply(ctx, a.refunds()...) // of accounts that the handler has found
	}
}

// uncounted returns the changes that refund what a success was charged although the limiter has not
// seen its response.
func (a *attempt) uncounted() []ratelimit.Change {
	if a.settled {
		return nil
	}
	cfg := a.cfg
	var changes []ratelimit.Change
	if !a.pair.IsZero() {
		changes = append(changes, refund(cfg.pair(), a.pair))
	}
	if a.known {
		return changes
	}
	changes = append(changes, refund(cfg.account(), a.account), refund(cfg.total(), totalKey(cfg)))
	if !a.where.address.IsZero() {
		changes = append(changes,
			refund(cfg.address(), a.where.address), refund(cfg.network(), a.where.network))
	}
	return changes
}

func refund(rule string, key ratelimit.Key) ratelimit.Change {
	return ratelimit.Change{Kind: store.Refund, Rule: rule, Key: key, Cost: 1}
}

func reset(rule string, key ratelimit.Key) ratelimit.Change {
	return ratelimit.Change{Kind: store.Reset, Rule: rule, Key: key}
}

func take(rule string, key ratelimit.Key) ratelimit.Change {
	return ratelimit.Change{Kind: store.Take, Rule: rule, Key: key, Cost: 1}
}

func peek(rule string, key ratelimit.Key) ratelimit.Change {
	return ratelimit.Change{Kind: store.Peek, Rule: rule, Key: key, Cost: 1}
}

// remember clears the failures of identities, makes them known, and applies more changes. An
// account can make only so many new pairs known.
func (g *Guard) remember(
	ctx context.Context, cfg *settings, ids []identity, more []ratelimit.Change,
) {
	clears, news := more, []ratelimit.Change(nil)
	for _, id := range ids {
		clears = append(clears, reset(cfg.account(), id.account))
		if id.pair.IsZero() {
			continue
		}
		clears = append(clears, reset(cfg.pair(), id.pair))
		again := []ratelimit.Change{reset(cfg.known(), id.pair), take(cfg.known(), id.pair)}
		if id.known {
			clears = append(clears, again...)
			continue
		}
		news = append(append(news, take(cfg.fresh(), ids[0].account)), again...)
	}
	if len(clears)+len(news) == 0 {
		return
	}
	ds, err := g.limiter.Apply(ctx, append(clears[:len(clears):len(clears)], news...)...)
	denied := false
	for i := range ds {
		denied = denied || !ds[i].Allowed && ds[i].StoreErr == nil
	}
	if err == nil && denied && len(clears) > 0 { // the account has too many new pairs
		_, _ = g.limiter.Apply(ctx, clears...)
	}
}
