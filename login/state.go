package login

import (
	"context"
	"net/netip"

	"github.com/ratelimit-go/ratelimit"
)

// State is what a [Guard] knows of an account and a client address.
type State struct {
	// Known reports that the account was used from the address before, so that only the limit of
	// the pair applies.
	Known bool
	// Pair, Account, Address, Network and Total say whether each limit would allow one more failure
	// if its mode were Enforce, and how many failures remain. If the pair is blocked, the Reason of
	// Pair is [ratelimit.ReasonBlocked] and its RetryAfter is the rest of the block.
	Pair, Account, Address, Network, Total ratelimit.Decision
	// CrossSite has what differs for attempts that a browser sent for a page of another origin.
	CrossSite CrossSite
}

// CrossSite is the part of a [State] for attempts that a browser sent for a page of another origin.
// They count as attempts from another address, so other sites cannot use up the attempts of a user
// of theirs. The limits of the account, the network and in total are the same as in the State.
type CrossSite struct {
	// Known, Pair and Address are as in [State].
	Known         bool
	Pair, Address ratelimit.Decision
}

// State returns what g knows of an account and a client address, for a support desk. It changes
// nothing. It takes three calls of the Store. State returns the same errors as [Guard.Unlock].
func (g *Guard) State(ctx context.Context, account string, addr netip.Addr) (State, error) {
	cfg := g.cfg.Load()
	key := accountKey(account)
	pairs, places, err := g.pairs(cfg, key, addr)
	if err != nil {
		return State{}, err
	}
	var own [2]ratelimit.Decision
	for i, pair := range pairs {
		ds, err := g.apply(ctx, peek(cfg.pair(), pair)) // alone, because the rule has a Block
		if err != nil {
			return State{}, err
		}
		own[i] = ds[0]
	}
	ds, err := g.apply(ctx,
		peek(cfg.known(), pairs[0]), peek(cfg.account(), key), peek(cfg.address(), places[0].address),
		peek(cfg.network(), places[0].network), peek(cfg.total(), totalKey(cfg)),
		peek(cfg.known(), pairs[1]), peek(cfg.address(), places[1].address))
	if err != nil {
		return State{}, err
	}
	return State{
		Known: saysKnown(ds[0]), Pair: own[0],
		Account: ds[1], Address: ds[2], Network: ds[3], Total: ds[4],
		CrossSite: CrossSite{Known: saysKnown(ds[5]), Pair: own[1], Address: ds[6]},
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
	// CrossSite reports that a browser sent the attempts for a page of another origin.
	CrossSite bool
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
			Client: from.client, CrossSite: from.elsewhere, Known: saysKnown(ds[2+i]), Pair: pair[0],
		})
	}
	return state, nil
}
