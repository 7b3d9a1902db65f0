package login

import (
	"context"
	"errors"
	"net/netip"
	"slices"

	"github.com/ratelimit-go/ratelimit"
)

// ErrNoAccount means that an account is empty.
var ErrNoAccount = errors.New("login: no account")

// ErrNoAddr means that a client address is not valid.
var ErrNoAddr = errors.New("login: no client address")

// Unlock clears the failures of an account, for a support desk, and how many new pairs it has made
// known. It also clears the failures of the account's pairs, and ends their blocks: of its pairs
// with the given client addresses, and of the last 16 pairs that failed in this process. Other
// instances know of others. All other failures stay, of addresses, of networks and of the total:
// to clear these, call Reset of the limiter with the Rule and the Key of a Decision of
// [Guard.State]. Other instances that know of a block learn of its end within 10 seconds.
//
// Letter case and space around account do not count. The error is [ErrNoAccount] or [ErrNoAddr], or
// a [*store.Error] if the store failed.
func (g *Guard) Unlock(ctx context.Context, account string, addrs ...netip.Addr) error {
	cfg := g.cfg.Load()
	key := accountKey(account)
	if key.IsZero() {
		return ErrNoAccount
	}
	var pairs []ratelimit.Key
	for _, addr := range addrs {
		both, _, err := g.pairs(cfg, key, addr)
		if err != nil {
			return err
		}
		pairs = append(pairs, both[:]...)
	}
	seen := g.recent.take(key)
	for _, from := range seen {
		if pair := from.pair(key); !slices.Contains(pairs, pair) {
			pairs = append(pairs, pair)
		}
	}
	changes := []ratelimit.Change{reset(cfg.account(), key), reset(cfg.fresh(), key)}
	for _, pair := range pairs {
		changes = append(changes, reset(cfg.pair(), pair))
	}
	_, err := g.apply(ctx, changes...)
	if err != nil { // the desk will try again
		for _, from := range seen {
			g.recent.note(key, from)
		}
	}
	return err
}

// Forget makes the pair of an account and a client address unknown, such as after a stranger has
// used the account from there. From then on all limits apply to the pair. Forget returns the same
// errors as [Guard.Unlock].
func (g *Guard) Forget(ctx context.Context, account string, addr netip.Addr) error {
	cfg := g.cfg.Load()
	pairs, _, err := g.pairs(cfg, accountKey(account), addr)
	if err != nil {
		return err
	}
	_, err = g.apply(ctx, reset(cfg.known(), pairs[0]), reset(cfg.known(), pairs[1]))
	return err
}

// pairs returns the keys of the pairs of an account and a client address, and their places: first
// for attempts of the site's own pages, then for attempts from elsewhere.
func (g *Guard) pairs(
	cfg *settings, account ratelimit.Key, addr netip.Addr,
) (pairs [2]ratelimit.Key, places [2]place, err error) {
	prefix := g.source(cfg).Prefix(addr)
	places = [2]place{placeOf(prefix, false), placeOf(prefix, true)}
	switch {
	case account.IsZero():
		return pairs, places, ErrNoAccount
	case places[0].address.IsZero():
		return pairs, places, ErrNoAddr
	}
	for i, at := range places {
		pairs[i] = at.pair(account)
	}
	return pairs, places, nil
}

// apply applies changes. It returns an error also if the store failed.
func (g *Guard) apply(ctx context.Context, changes ...ratelimit.Change) ([]ratelimit.Decision, error) {
	ds, err := g.limiter.Apply(ctx, changes...)
	for i := range ds {
		if err == nil {
			err = ds[i].StoreErr
		}
	}
	return ds, err
}
