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

// A recent remembers from where accounts failed lately in this process, for Unlock and Account. It
// is safe for concurrent use.
type recent struct {
	mu       sync.Mutex
	now, old map[ratelimit.Key][]source // by account, the latest last
}

// note notes that an attempt on an account has failed.
func (r *recent) note(account ratelimit.Key, from source) {
	if account.IsZero() || from.client.IsZero() {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	sources, ok := r.now[account]
	if !ok {
		sources = r.old[account]
		delete(r.old, account)
		if len(r.now) >= maxAccounts || r.now == nil {
			r.now, r.old = map[ratelimit.Key][]source{}, r.now
		}
	}
	if i := slices.Index(sources, from); i >= 0 {
		sources = slices.Delete(sources, i, i+1)
	} else if len(sources) == maxPairs {
		sources = slices.Delete(sources, 0, 1)
	}
	r.now[account] = append(sources, from)
}

// of returns from where an account failed, the latest last, at most maxPairs.
func (r *recent) of(account ratelimit.Key) []source {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Concat(r.now[account], r.old[account]) // one of them is empty
}

// take is of, which forgets the account.
func (r *recent) take(account ratelimit.Key) []source {
	r.mu.Lock()
	defer r.mu.Unlock()
	sources := slices.Concat(r.now[account], r.old[account])
	delete(r.now, account)
	delete(r.old, account)
	return sources
}
