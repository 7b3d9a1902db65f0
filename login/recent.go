package login

import (
	"slices"
	"sync"

	"github.com/ratelimit-go/ratelimit"
)

// Bounds of what a Guard remembers of failed pairs.
const (
	maxAccounts = 4096 // that failed lately; up to twice as many are kept
	maxPairs    = 16   // of an account
)

// A recent remembers the pairs of accounts that failed lately in this process, for Unlock. It is
// safe for concurrent use.
type recent struct {
	mu       sync.Mutex
	now, old map[ratelimit.Key][]ratelimit.Key // pairs by account, the latest last
}

// note notes that a pair of an account has failed.
func (r *recent) note(account, pair ratelimit.Key) {
	if account.IsZero() || pair.IsZero() {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	pairs, ok := r.now[account]
	if !ok {
		pairs = r.old[account]
		if len(r.now) >= maxAccounts || r.now == nil {
			r.now, r.old = map[ratelimit.Key][]ratelimit.Key{}, r.now
		}
	}
	if i := slices.Index(pairs, pair); i >= 0 {
		pairs = slices.Delete(pairs, i, i+1)
	} else if len(pairs) == maxPairs {
		pairs = slices.Delete(pairs, 0, 1)
	}
	r.now[account] = append(pairs, pair)
}

// take returns the pairs of an account, and forgets them.
func (r *recent) take(account ratelimit.Key) []ratelimit.Key {
	r.mu.Lock()
	defer r.mu.Unlock()
	pairs := slices.Concat(r.now[account], r.old[account])
	delete(r.now, account)
	delete(r.old, account)
	return pairs
}
