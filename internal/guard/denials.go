package guard

import (
	"math/bits"
	"sync/atomic"
	"time"

	"github.com/ratelimit-go/ratelimit/internal/key"
	"github.com/ratelimit-go/ratelimit/internal/pace"
	"github.com/ratelimit-go/ratelimit/store"
)

// denials remembers what a store denied. A client that keeps sending requests then costs the store
// nothing until its RetryAfter has passed.
//
// For each op of a denied batch it keeps what the store said about the bucket. It answers a later
// batch from memory under three conditions. The batch consists of takes, and of peeks that find the
// tokens they ask for. All of its buckets are known and distinct. One of them has denied a take of
// the same cost, or of a smaller cost, until an instant in the future. The answers are what the
// store would say if no op had touched the buckets since.
//
// A denial never lasts longer than the store said: it counts from the instant before the call. The
// waits and levels in the answers count from the instant after the call, so that a client that
// waits as told is allowed. They may be too long by the time of the call.
//
// If the call takes no time, the answers to the denied cost are exact to the nanosecond. A wait for
// another cost may be a nanosecond too long, because the store rounds. For the same reason
// Remaining may be the number of a nanosecond ago.
//
// No Result tells that a bucket still fills at the rate of its limit before a change. denials then
// calculates its level at the new rate.
//
// A refund or a reset through this process drops what is known about its buckets, even if it
// overtakes a denial that is under way. For a refund through another process, denials lets one
// caller at a time call the store again every recheckAfter. While the store does not answer, the
// other callers are denied as before: an outage must not unblock them.
//
// The memory is fixed. A bucket is not remembered if setSize others are in its place. If as many
// buckets are denied as there is room for, about six in seven of them are remembered.
type denials struct {
	seed  key.Seed
	epoch atomic.Uint64 // counts refunds and resets
	sets  []denialSet
}

const (
	// maxDenials is the room of a Guard. It takes 6.5 MB. A process that is denied nothing touches
	// none of them.
	maxDenials = 65_536

	// oversizeHold is how long takes of more tokens than the bucket can hold are denied from
	// memory. They are denied at any level and are told no wait, so only the level gets old.
	oversizeHold = time.Second
)

// newDenials returns an empty memory with room for at least n buckets.
func newDenials(n int) *denials {
	return &denials{seed: key.NewSeed(), sets: make([]denialSet, (n+setSize-1)/setSize)}
}

func (m *denials) set(op *store.Op) *denialSet {
	// The limits of one rule differ in the lowest byte of their ids. The rotation spreads them too.
	h := m.seed.Hash(&op.Key) ^ bits.RotateLeft64(op.Limit.ID(), -8)
	i, _ := bits.Mul64(h, uint64(len(m.sets)))
	return &m.sets[i]
}

// A start is when a call began. Its answer can be remembered unless a refund or reset of the same
// bucket has overtaken it since.
type start struct {
	at    time.Duration
	epoch uint64
}

// answer reports whether ops are denied from memory, and if so fills in their Results. If not, the
// caller must call the store, and then learn with the start that answer returned.
func (m *denials) answer(now time.Duration, ops []store.Op) (began start, denied bool) {
	began = start{now, m.epoch.Load()}
	for i := range ops {
		op := &ops[i]
		if op.Kind != store.Take && op.Kind != store.Peek || !op.Valid() || !m.set(op).answer(now, op) {
			return began, false
		}
		denied = denied || !op.Result.Allowed
	}
	return began, denied && distinct(ops)
}

// learn notes what the store answered, at the instant now, or that it failed. Call it for every
// batch that may have changed a bucket, and with the Results of the store only.
func (m *denials) learn(now time.Duration, began start, ops []store.Op, failed bool) {
	switch {
	case refunds(ops):
		m.forget(ops) // also if it failed, because the store may have applied it
	case !failed:
		end := deniedUntil(began.at, ops)
		for i := range ops {
			if op := &ops[i]; op.Valid() {
				m.set(op).learn(max(now, began.at), began, op, end)
			}
		}
	}
}

// forget drops what is known about the buckets of ops, and every answer that is under way for them.
func (m *denials) forget(ops []store.Op) {
	epoch := m.epoch.Add(1)
	for i := range ops {
		if op := &ops[i]; op.Valid() {
			m.set(op).forget(epoch, op)
		}
	}
}

// refunds reports whether any of ops puts tokens into a bucket.
func refunds(ops []store.Op) bool {
	for i := range ops {
		if ops[i].Kind == store.Refund || ops[i].Kind == store.Reset {
			return true
		}
	}
	return false
}

// distinct reports whether each of ops has a bucket of its own. If not, the answer to one of them
// depends on the others.
func distinct(ops []store.Op) bool {
	for i := range ops {
		for j := range i {
			if ops[i].Limit.ID() == ops[j].Limit.ID() && ops[i].Key == ops[j].Key {
				return false
			}
		}
	}
	return true
}

// deniedUntil returns the end of the longest denial among ops, for a call that began at the instant
// at. It returns 0 if the store allowed all takes.
func deniedUntil(at time.Duration, ops []store.Op) time.Duration {
	end := time.Duration(0)
	for i := range ops {
		switch op := &ops[i]; {
		case op.Kind != store.Take || op.Result.Allowed:
		case op.Result.ExceedsBurst:
			end = max(end, at+oversizeHold)
		default:
			end = max(end, at+min(max(op.Result.RetryAfter, 0), pace.MaxFill))
		}
	}
	return end
}
