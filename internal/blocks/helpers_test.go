package blocks

import (
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit/internal/key"
	"github.com/ratelimit-go/ratelimit/store"
)

const (
	ms   = time.Millisecond
	sec  = time.Second
	minu = time.Minute
	hour = time.Hour
)

func user(name string) key.Key { return key.Text(key.User, name) }

var alice = user("alice")

// after returns a Policy by which the n-th violation in an hour blocks a key.
func after(n int64) Policy { return Policy{AfterCount: n, AfterPeriod: hour} }

// A server is a store that several instances share. It forgets nothing.
type server struct {
	mu      sync.Mutex // of all fields
	start   time.Time
	buckets map[bucketID]store.Bucket
	calls   int
}

type bucketID struct {
	limit uint64
	key   key.Key
}

func newServer() *server { return &server{start: time.Now(), buckets: map[bucketID]store.Bucket{}} }

// apply is the Apply of an instance that reaches the server.
func (s *server) apply(ops []store.Op) (decided, shared bool) {
	if err := store.CheckOps(ops); err != nil {
		panic(err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls++
	now := time.Since(s.start)
	denied, changed := false, map[bucketID]store.Bucket{}
	for i := range ops {
		id := bucketID{ops[i].Limit.ID(), ops[i].Key}
		b, ok := changed[id]
		if !ok {
			b = s.buckets[id]
		}
		if !b.Apply(&ops[i], now) && ops[i].Kind == store.Take {
			denied = true
		}
		changed[id] = b
	}
	for i := range ops {
		id := bucketID{ops[i].Limit.ID(), ops[i].Key}
		b := changed[id]
		if denied {
			b = s.buckets[id]
		}
		b.Report(&ops[i], now)
		s.buckets[id] = b
	}
	return true, true
}

// An instance counts violations of the rule "p" with the help of a server.
type instance struct {
	*Buckets
	*server
	known *Known
}

func newInstance(p Policy, s *server) *instance {
	return &instance{Compile("p", p), s, NewKnown(MaxKnown, true, nil)}
}

func (in *instance) violate(k key.Key) (wait time.Duration, times int) {
	return in.Count(in.known, "p", k, in.apply)
}

// left returns how much longer k is blocked by the server.
func (in *instance) left(k key.Key) time.Duration {
	ops := []store.Op{in.Asks(k)}
	in.apply(ops)
	return ops[0].Result.RetryAfter
}

// untilBlocked returns the length of the block that n violations of alice begin.
func (in *instance) untilBlocked(t testing.TB, n int) time.Duration {
	t.Helper()
	for range n - 1 {
		wait, times := in.violate(alice)
		require.Zero(t, wait)
		require.Zero(t, times)
	}
	wait, times := in.violate(alice)
	require.Positive(t, wait)
	require.Positive(t, times)
	return wait
}

// A watch is a clock that a test sets.
type watch struct{ now time.Duration }

func (w *watch) read() time.Duration { return w.now }

// newKnown returns a Known that reads the watch, of an instance that shares its store.
func newKnown(w *watch) *Known { return NewKnown(MaxKnown, true, w.read) }

// id returns the name of a block of the named user.
func id(name string) ID { return ID{Limit: 7, Key: user(name)} }

// learn tells k that the named user is blocked for d from now.
func learn(k *Known, name string, d time.Duration) { k.Learn(id(name), "p", k.Asking(), d, 0) }

// find returns the answer of k about the named user.
func find(k *Known, name string) answer {
	wait, ask := k.Find(id(name))
	return answer{wait, ask}
}

// An answer of Find.
type answer struct {
	wait time.Duration
	ask  bool
}

// requireSound also checks that k counts its entries, and keeps them where it searches.
func requireSound(t testing.TB, k *Known) (entries int) {
	t.Helper()
	for i := range k.shards {
		require.LessOrEqual(t, len(k.shards[i].held), k.most)
		entries += len(k.shards[i].held)
		for h, e := range k.shards[i].held {
			s, hash := k.place(&e.id)
			require.Same(t, &k.shards[i], s)
			require.Equal(t, h, hash)
		}
	}
	require.Equal(t, int64(entries), k.count.Load())
	return entries
}
