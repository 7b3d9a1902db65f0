package login

import (
	"context"

	"github.com/ratelimit-go/ratelimit"
)

// Found tells the guards around a handler which account it has found in its database, such as the
// address or the number of the user. Call it with the context of the request, before the handler
// checks a password. If the Decision does not allow the attempt, do not check the password: call
// [ratelimit.Limiter.Deny] with it.
//
// A database may take several spellings for one account, such as with and without accents. Without
// Found, each spelling has limits of its own. With Found, the attempt also counts against the
// limits of the account that was found. If that account is the account of the request, or empty, or
// if no Guard has counted the request, Found allows it and counts nothing more. Otherwise it calls
// the Store three times.
func Found(ctx context.Context, account string) ratelimit.Decision {
	worst := ratelimit.Decision{Allowed: true}
	key := accountKey(account)
	for a := attemptIn(ctx); a != nil && worst.Allowed && !key.IsZero(); a = a.outer {
		if d := a.find(ctx, key); !d.Allowed {
			worst = d
		}
	}
	return worst
}

// find counts the attempt against an account that the handler has found, unless it already does.
func (a *attempt) find(ctx context.Context, key ratelimit.Key) ratelimit.Decision {
	a.mu.Lock() // held during the calls of the store, but only this request waits for it
	defer a.mu.Unlock()
	allowed := ratelimit.Decision{Allowed: true}
	if !a.wasRead || a.ended {
		return allowed
	}
	a.foundKey = key
	if key == a.account || a.hasFound(key) {
		return allowed
	}
	id := identify(key, a.where)
	if d := a.charge(ctx, &id); !d.Allowed {
		return d
	}
	a.found = append(a.found, id)
	return allowed
}

// charge counts the attempt against the limits of id, all of them or none.
func (a *attempt) charge(ctx context.Context, id *identity) ratelimit.Decision {
	limiter, allowed := a.guard.limiter, ratelimit.Decision{Allowed: true}
	if !id.pair.IsZero() { // alone, because the rule has a Block
		if d, err := limiter.Take(ctx, a.cfg.pair(), id.pair, 1); err == nil && !d.Allowed {
			return d
		}
	}
	if id.isKnown(ctx, a.guard, a.cfg) {
		return allowed
	}
	changes := []ratelimit.Change{take(a.cfg.account(), id.account)}
	if a.known { // then the limiter has not counted the rest
		changes = append(changes, take(a.cfg.total(), totalKey(a.cfg)))
		changes = append(changes,
			take(a.cfg.address(), a.where.address), take(a.cfg.network(), a.where.network))
	}
	ds, _ := limiter.Apply(ctx, changes...)
	for _, d := range ds {
		if !d.Allowed {
			if !id.pair.IsZero() {
				_, _ = limiter.Apply(ctx, refund(a.cfg.pair(), id.pair))
			}
			return d
		}
	}
	return allowed
}

func (a *attempt) hasFound(key ratelimit.Key) bool {
	for _, id := range a.found {
		if id.account == key {
			return true
		}
	}
	return false
}

// succeeded returns the identities that a success has proved. The account of the request is one of
// them if the handler has found it, or another account by Found. A handler that reports another
// account without Found may read the request differently than the guard. Then a client that logs in
// to its own account would clear the failures of an account that it only names.
func (a *attempt) succeeded(ctx context.Context) []identity {
	switch {
	case a.foundKey == a.account || a.foundKey.IsZero():
		if a.named {
			return []identity{a.identity}
		}
		return nil
	case !a.hasFound(a.foundKey):
		id := identify(a.foundKey, a.where)
		id.isKnown(ctx, a.guard, a.cfg)
		return []identity{id}
	}
	var ids []identity
	for _, id := range a.found {
		if id.account == a.foundKey {
			ids = append(ids, id)
		}
	}
	if a.named {
		ids = append(ids, a.identity)
	}
	return ids
}

// note notes in seen where the accounts of a failed attempt are used: the account of the request,
// and accounts that Found has charged.
func (a *attempt) note(seen *recent) {
	a.mu.Lock()
	defer a.mu.Unlock()
	seen.note(a.account, a.where.source)
	for _, id := range a.found {
		seen.note(id.account, a.where.source)
	}
}

// refunds returns the changes that refund what Found has charged.
func (a *attempt) refunds() []ratelimit.Change {
	changes := a.refundsOfAll()
	for _, id := range a.found {
		if !id.pair.IsZero() {
			changes = append(changes, refund(a.cfg.pair(), id.pair))
		}
		if !id.known {
			changes = append(changes, refund(a.cfg.account(), id.account))
		}
	}
	return changes
}

// refundsOfAll returns the changes that refund what Found has charged beside accounts and pairs,
// which a success clears.
func (a *attempt) refundsOfAll() (changes []ratelimit.Change) {
	for _, id := range a.found {
		if a.known && !id.known {
			changes = append(changes, refund(a.cfg.total(), totalKey(a.cfg)),
				refund(a.cfg.address(), a.where.address), refund(a.cfg.network(), a.where.network))
		}
	}
	return changes
}
