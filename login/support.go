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

// ErrNoAddr means that a client address is not valid.
var ErrNoAddr = errors.New("login: no client address")

// Unlock clears the failures of an account, for a support desk. It also clears the failures of the
// account's pairs with the given client addresses, and ends their blocks. The failures of other
// pairs, of addresses and of the total stay. Other instances that know of a block learn of its end
// within 10 seconds.
//
// Letter case and space around account do not count. The error is [ErrNoAccount] or [ErrNoAddr], or
// a [*store.Error] if the store failed.
func (g *Guard) Unlock(ctx context.Context, account string, addrs ...netip.Addr) error {
	cfg := g.cfg.Load()
	key := accountKey(account)
	if key.IsZero() {
		return ErrNoAccount
	}
	changes := []ratelimit.Change{{Kind: store.Reset, Rule: cfg.account(), Key: key}}
	for _, addr := range addrs {
		who, err := g.keys(cfg, account, addr)
		if err != nil {
			return err
		}
		changes = append(changes, ratelimit.Change{Kind: store.Reset, Rule: cfg.pair(), Key: who.pair})
	}
	_, err := g.apply(ctx, changes...)
	return err
}

// Forget makes the pair of an account and a client address unknown, such as after a stranger has
// used the account from there. From then on all limits apply to the pair. Forget returns the same
// errors as [Guard.Unlock].
func (g *Guard) Forget(ctx context.Context, account string, addr netip.Addr) error {
	cfg := g.cfg.Load()
	who, err := g.keys(cfg, account, addr)
	if err != nil {
		return err
	}
	_, err = g.apply(ctx, ratelimit.Change{Kind: store.Reset, Rule: cfg.known(), Key: who.pair})
	return err
}

// State is what a [Guard] knows of an account and a client address.
type State struct {
	// Known reports that the account was used from the address before, so that only the limit of
	// the pair applies.
	Known bool
	// Pair, Account, Address and Total say whether each limit would allow one more failure if its
	// mode were Enforce, and how many failures remain. If the pair is blocked, the Reason of Pair
	// is [ratelimit.ReasonBlocked] and its RetryAfter is the rest of the block.
	Pair, Account, Address, Total ratelimit.Decision
}

// State returns what g knows of an account and a client address, for a support desk. It changes
// nothing. It takes two calls of the Store. State returns the same errors as [Guard.Unlock].
func (g *Guard) State(ctx context.Context, account string, addr netip.Addr) (State, error) {
	cfg := g.cfg.Load()
	who, err := g.keys(cfg, account, addr)
	if err != nil {
		return State{}, err
	}
	// Alone, because the rule has a Block.
	pair, err := g.apply(ctx, peek(cfg.pair(), who.pair))
	if err != nil {
		return State{}, err
	}
	others, err := g.apply(ctx, peek(cfg.known(), who.pair), peek(cfg.account(), who.account),
		peek(cfg.address(), who.address), peek(cfg.total(), totalKey(cfg)))
	if err != nil {
		return State{}, err
	}
	return State{
		Known: saysKnown(others[0]),
		Pair:  pair[0], Account: others[1], Address: others[2], Total: others[3],
	}, nil
}

func peek(rule string, key ratelimit.Key) ratelimit.Change {
	return ratelimit.Change{Kind: store.Peek, Rule: rule, Key: key, Cost: 1}
}

// keys returns an attempt with the keys of an account and a client address.
func (g *Guard) keys(cfg *Config, account string, addr netip.Addr) (a attempt, err error) {
	a.account = accountKey(account)
	if a.account.IsZero() {
		return a, ErrNoAccount
	}
	a.address = ratelimit.PrefixKey(g.source(cfg).Prefix(addr))
	if a.address.IsZero() {
		return a, ErrNoAddr
	}
	a.pair = ratelimit.JoinKeys(a.account, a.address)
	return a, nil
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
