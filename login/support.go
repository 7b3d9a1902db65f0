package login

import (
	"context"
	"errors"
	"net/netip"

	"github.com/ratelimit-go/ratelimit"
	"github.com/ratelimit-go/ratelimit/store"
)

// ErrNoAccount means that an account is empty.
var ErrNoAccount = errors.New("login: no account")

// Unlock clears the failures of an account, for the support desk. It also clears the failures and
// ends the blocks of the account's pairs with the given client addresses. The failures of other
// pairs stay. The error is [ErrNoAccount], or a [*store.Error] if the store failed.
func (g *Guard) Unlock(ctx context.Context, account string, addrs ...netip.Addr) error {
	key, cfg := accountKey(account), g.cfg.Load()
	if key.IsZero() {
		return ErrNoAccount
	}
	changes := []ratelimit.Change{{Kind: store.Reset, Rule: cfg.account(), Key: key}}
	for _, addr := range addrs {
		pair := ratelimit.JoinKeys(key, g.addrKey(cfg, addr))
		changes = append(changes, ratelimit.Change{Kind: store.Reset, Rule: cfg.pair(), Key: pair})
	}
	return g.apply(ctx, changes...)
}

// Forget makes the pair of an account and a client address unknown, such as when a device was lost.
// Its errors are those of [Guard.Unlock].
func (g *Guard) Forget(ctx context.Context, account string, addr netip.Addr) error {
	key, cfg := accountKey(account), g.cfg.Load()
	if key.IsZero() {
		return ErrNoAccount
	}
	pair := ratelimit.JoinKeys(key, g.addrKey(cfg, addr))
	return g.apply(ctx, ratelimit.Change{Kind: store.Reset, Rule: cfg.known(), Key: pair})
}

func (g *Guard) addrKey(cfg *Config, addr netip.Addr) ratelimit.Key {
	return ratelimit.PrefixKey(g.source(cfg).Prefix(addr))
}

func (g *Guard) apply(ctx context.Context, changes ...ratelimit.Change) error {
	ds, err := g.limiter.Apply(ctx, changes...)
	if err == nil {
		err = ds[0].StoreErr
	}
	return err
}

// State is what a [Guard] knows of an account and a client address.
type State struct {
	// Known reports that the account was used from the address before, so only the limit of the pair
	// applies.
	Known bool
	// Pair, Account, Address and Total say whether each limit would allow one more attempt. The
	// Reason of Pair is ReasonBlocked if the pair is blocked.
	Pair, Account, Address, Total ratelimit.Decision
}

// State returns what g knows of an account and a client address. It changes nothing. Its errors are
// those of [Guard.Unlock].
func (g *Guard) State(ctx context.Context, account string, addr netip.Addr) (s State, err error) {
	key, cfg := accountKey(account), g.cfg.Load()
	if key.IsZero() {
		return s, ErrNoAccount
	}
	address := g.addrKey(cfg, addr)
	pair := ratelimit.JoinKeys(key, address)
	var known ratelimit.Decision
	for _, look := range []struct {
		rule string
		key  ratelimit.Key
		into *ratelimit.Decision
	}{
		{cfg.known(), pair, &known},
		{cfg.pair(), pair, &s.Pair},
		{cfg.account(), key, &s.Account},
		{cfg.address(), address, &s.Address},
		{cfg.total(), ratelimit.ValueKey("global", cfg.Name), &s.Total},
	} {
		if *look.into, err = g.limiter.Peek(ctx, look.rule, look.key); err != nil {
			return s, err
		}
		if look.into.StoreErr != nil {
			return s, look.into.StoreErr
		}
	}
	s.Known = isKnown(known, nil)
	return s, nil
}
