package login

import (
	"context"
	"net/netip"

	"github.com/ratelimit-go/ratelimit"
)

// State is what a [Guard] knows of an account and a client address. Attempts that a browser sent
// for a page of another origin count apart: State does not show them, but [AccountState] does.
type State struct {
	// Known reports that the account was used from the address before, so that only the limit of
	// the pair applies.
	Known bool
	// Pair, Account, Address, Network and Total say whether each limit would allow one more failure
	// if its mode were Enforce, and how many failures remain. If the pair is blocked, the Reason of
	// Pair is [ratelimit.ReasonBlocked] and its RetryAfter is the rest of the block.
	Pair, Account, Address, Network, Total ratelimit.Decision
}

// State returns what g knows of an account and a client address, for a support desk. It changes
// nothing. It takes two calls of the Store. State returns the same errors as [Guard.Unlock].
func (g *Guard) State(ctx context.Context, account string, addr netip.Addr) (State, error) {
	cfg := g.cfg.Load()
	key := accountKey(account)
	pairs, at, err := g.pairs(cfg, key, addr)
	if err != nil {
		return State{}, err
	}
	// Alone, because the rule has a Block.
	pair, err := g.apply(ctx, peek(cfg.pair(), pairs[0]))
	if err != nil {
		return State{}, err
	}
	others, err := g.apply(ctx, peek(cfg.known(), pairs[0]), peek(cfg.account(), key),
		peek(cfg.address(), at.address), peek(cfg.network(), at.network), peek(cfg.total(), totalKey(cfg)))
	if err != nil {
		return State{}, err
	}
	return State{
		Known: saysKnown(others[0]), Pair: pair[0],
		Account: others[1], Address: others[2], Network: others[3], Total: others[4],
	}, nil
}

// AccountState is what a [Guard] knows of an account, if the client address is not known.
type AccountState struct {
	// Account and Total are as in [State].
	Account, Total ratelimit.Decision
	// Pairs are the pairs of the account that failed last in this process, the latest first, 16 at
	// most. Other instances know of others.
	Pairs []PairState
}

// PairState is what a [Guard] knows of an account as one client uses it.
type PairState struct {
	// Client is the key of the client address, or of the network of an IPv6 address.
	Client ratelimit.Key
	// Elsewhere reports that a browser sent the attempts for a page of another origin.
	Elsewhere bool
	// Known and Pair are as in [State].
	Known bool
	Pair  ratelimit.Decision
}

// AccountState returns what g knows of an account, for a support desk. It changes nothing. It takes
// one call of the Store, and one more for each pair. Letter case and space around account do not
// count. The error is [ErrNoAccount], or a [*store.Error] if the store failed.
func (g *Guard) AccountState(ctx context.Context, account string) (AccountState, error) {
	cfg := g.cfg.Load()
	key := accountKey(account)
	if key.IsZero() {
		return AccountState{}, ErrNoAccount
	}
	sources := g.recent.of(key)
	asks := []ratelimit.Change{peek(cfg.account(), key), peek(cfg.total(), totalKey(cfg))}
	for _, from := range sources {
		asks = append(asks, peek(cfg.known(), from.pair(key)))
	}
	ds, err := g.apply(ctx, asks...)
	if err != nil {
		return AccountState{}, err
	}
	state := AccountState{Account: ds[0], Total: ds[1]}
	for i := len(sources) - 1; i >= 0; i-- {
		from := sources[i]
		pair, err := g.apply(ctx, peek(cfg.pair(), from.pair(key))) // alone, because the rule has a Block
		if err != nil {
			return AccountState{}, err
		}
		state.Pairs = append(state.Pairs, PairState{
			Client: from.client, Elsewhere: from.elsewhere, Known: saysKnown(ds[2+i]), Pair: pair[0],
		})
	}
	return state, nil
}
