// Package inflight counts the requests in flight by rule and key, in this process and by leases in
// a store.
//
// A request enters by [Counter.Enter], which takes its permits. With a store that counts for all
// instances, [Stay.Lease] acquires leases too. [Stay.Leave] releases both, however the request
// ends:
//
//	stay, denial := counter.Enter(ctx, want)
//	defer stay.Leave()
//	if denial == nil {
//		denial = stay.Lease(leases)
//	}
//
// A request that may have to wait before it does any work takes its later permits by [Stay.Join]
// when the wait is over, and their leases by another Lease. Meanwhile other requests can have them.
//
// The count is by the name of the rule, so a rule may be replaced while its requests are in flight.
package inflight

import (
	"time"

	"github.com/ratelimit-go/ratelimit/internal/key"
)

// A Permit lets one request of a rule and a key be in flight.
type Permit struct {
	Rule   string // the name of the rule
	Key    key.Key
	Max    int    // how many permits the rule and the key have
	Alone  int    // how many of them, if the store fails; 0 denies the request
	ForAll bool   // whether the key stands for all clients, for the answer to a denied request
	Later  bool   // whether Join takes it instead of Enter
	Meter  *Meter // of the rule
}

// A holder is what permits are counted by.
type holder struct {
	rule string
	key  key.Key
}

func (p *Permit) holder() holder { return holder{p.Rule, p.Key} }

// A Denial says why a request must not go on.
type Denial struct {
	Permit *Permit       // the missing permit; nil if the store failed and a rule has no Alone
	Err    error         // of the store, then
	Wait   time.Duration // an estimate of the time until the permit is free
}
