package ratelimit_test

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit"
)

// A fleet is two limiters with the same rules and one store.
type fleet struct {
	store *tripStore
	a, b  *ratelimit.Limiter
	last  [2]*ratelimit.Decision // refused by a and by b
	news  []ratelimit.Block
}

func newFleet(t testing.TB, policy ratelimit.FailurePolicy, rules ...ratelimit.Rule) *fleet {
	f := &fleet{store: newTripStore()}
	for i, l := range []**ratelimit.Limiter{&f.a, &f.b} {
		cfg := ratelimit.Config{
			Rules: rules, Store: f.store, OnStoreFailure: policy, OnError: func(context.Context, error) {},
			OnBlocked: func(_ context.Context, b ratelimit.Block) { f.news = append(f.news, b) },
		}
		f.last[i] = reasons(&cfg)
		*l = newLimiter(t, cfg)
	}
	return f
}

// get is a request to l, and the number of trips to the store that it took.
func (f *fleet) get(l *ratelimit.Limiter) (status int, trips int64) {
	before := f.store.trips.Load()
	return serve(l.Handler(ok), request("192.0.2.1:1")).Code, f.store.trips.Load() - before
}

func wantGet(t testing.TB, f *fleet, l *ratelimit.Limiter, status int, trips int64, why string) {
	t.Helper()
	gotStatus, gotTrips := f.get(l)
	require.Equal(t, []any{status, trips}, []any{gotStatus, gotTrips}, why)
}

// What one instance blocks the other refuses at once, and what one lifts the other admits within
// 10 seconds. In between a blocked key costs a trip in 10 seconds.
func TestFleet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := rule("p", "10 per second")
		r.Penalty = &ratelimit.Penalty{After: ratelimit.PerHour(3), For: time.Hour}
		f := newFleet(t, ratelimit.FailOpen, rule("all", "1000 per day"), r)
		wantGet(t, f, f.b, 200, 1, "nothing yet")
		blockLengthOf(t, f.a, 3)
		require.Len(t, f.news, 1)
		wantGet(t, f, f.a, 429, 0, "known where it was made")
		wantGet(t, f, f.b, 429, 2, "not known yet: one trip to ask and one to give back")
		assert.Equal(t, ratelimit.Decision{Reason: ratelimit.ReasonBlocked, Rule: "p", Key: theClient(t), RetryAfter: time.Hour}, *f.last[1])
		for range 5 {
			for range 100 {
				wantGet(t, f, f.b, 429, 0, "known")
			}
			time.Sleep(9999 * time.Millisecond)
			wantGet(t, f, f.b, 429, 0, "believed")
			time.Sleep(time.Millisecond)
			wantGet(t, f, f.b, 429, 2, "looked up again, and given back")
		}
		d, err := f.b.Peek(t.Context(), "all", theClient(t))
		require.NoError(t, err)
		assert.Equal(t, int64(999), d.Remaining, "a refused request costs nothing")

		require.NoError(t, f.a.Unblock(t.Context(), "p", theClient(t)))
		wantGet(t, f, f.a, 200, 1, "lifted here")
		wantGet(t, f, f.b, 429, 0, "not known yet")
		assert.Len(t, f.b.Blocked(), 1)
		time.Sleep(10 * time.Second)
		wantGet(t, f, f.b, 200, 1, "lifted there")
		assert.Empty(t, f.b.Blocked())
		assert.Len(t, f.news, 1)
		assert.Equal(t, time.Hour, blockLengthOf(t, f.b, 3), "and forgotten")
	})
}

// All instances count the offences of a key, and its blocks, together.
func TestFleetCountsTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, ratelimit.FailOpen, penalized(ratelimit.Penalty{After: ratelimit.PerHour(4)}))
		for i, want := range []time.Duration{time.Minute, 2 * time.Minute, 4 * time.Minute} {
			for range 3 {
				for _, l := range []*ratelimit.Limiter{f.a, f.b} {
					_, err := l.Take(t.Context(), "p", theClient(t), 1000)
					require.NoError(t, err)
				}
			}
			require.Len(t, f.news, i+1)
			require.Equal(t, ratelimit.Block{Rule: "p", Key: theClient(t), Until: time.Now().Add(want), Repeats: i + 1}, f.news[i])
			time.Sleep(want)
		}
	})
}

// While the store is down, what is known to be blocked stays blocked, and nothing else is.
func TestPenaltyWithoutStore(t *testing.T) {
	for policy, status := range map[ratelimit.FailurePolicy]int{ratelimit.FailOpen: 200, ratelimit.FailClosed: 503, ratelimit.UseMemory: 200} {
		synctest.Test(t, func(t *testing.T) {
			r := rule("p", "10 per second")
			r.Penalty = &ratelimit.Penalty{After: ratelimit.PerHour(3), For: 30 * time.Second}
			f := newFleet(t, policy, r)
			blockLengthOf(t, f.a, 3)
			f.store.down.Store(true)
			for range 29 {
				time.Sleep(time.Second)
				status, _ := f.get(f.a)
				require.Equal(t, 429, status, "it knows, and asks in vain every 10 seconds")
			}
			got, _ := f.get(f.b)
			require.Equal(t, status, got, "it does not know")
			require.Error(t, f.b.Block(t.Context(), "p", theClient(t), time.Hour))
			require.Error(t, f.b.Unblock(t.Context(), "p", theClient(t)))
			f.store.down.Store(false)
			time.Sleep(10 * time.Second)
			got, _ = f.get(f.a)
			require.Equal(t, 200, got, "it is over")
		})
	}
}

// With UseMemory, offences are counted in memory while the store is down.
func TestPenaltyInMemoryWithoutStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, ratelimit.UseMemory, penalized(ratelimit.Penalty{After: ratelimit.PerHour(3)}))
		f.store.down.Store(true)
		h := f.a.Handler(ok)
		for _, want := range []ratelimit.Reason{0, ratelimit.ReasonLimit, ratelimit.ReasonLimit, ratelimit.ReasonBlocked, ratelimit.ReasonBlocked} {
			serve(h, request("192.0.2.1:1"))
			require.Equal(t, want, f.last[0].Reason)
		}
	})
}

func TestBlockByHand(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, ratelimit.FailOpen, penalized(ratelimit.Penalty{}), rule("plain", "10 per hour"))
		ctx, key := t.Context(), theClient(t)
		require.NoError(t, f.a.Block(ctx, "p", key, 24*time.Hour))
		wantGet(t, f, f.a, 429, 0, "at once")
		wantGet(t, f, f.b, 429, 2, "everywhere")
		assert.Equal(t, []ratelimit.Block{{Rule: "p", Key: key, Until: time.Now().Add(24 * time.Hour)}}, f.a.Blocked())
		require.NoError(t, f.a.Block(ctx, "p", key, time.Minute))
		time.Sleep(time.Minute)
		wantGet(t, f, f.a, 200, 1, "made shorter")
		require.NoError(t, f.a.Block(ctx, "p", key, time.Hour))
		require.NoError(t, f.a.Block(ctx, "p", key, 365*24*time.Hour))
		time.Sleep(365*24*time.Hour - 1)
		wantGet(t, f, f.a, 429, 2, "made longer")
		require.NoError(t, f.a.Reset(ctx, "p", key))
		wantGet(t, f, f.a, 200, 1, "a reset lifts it")
		wantGet(t, f, f.a, 429, 1, "the limit")
		for range 5 {
			f.get(f.a)
			require.Equal(t, ratelimit.ReasonLimit, f.last[0].Reason, "no number of offences blocks")
		}
		assert.Empty(t, f.news)

		for _, err := range []error{
			f.a.Block(ctx, "p", key, 0), f.a.Block(ctx, "p", key, 366*24*time.Hour), f.a.Block(ctx, "p", ratelimit.Key{}, time.Hour),
			f.a.Block(ctx, "none", key, time.Hour), f.a.Block(ctx, "plain", key, time.Hour),
			f.a.Unblock(ctx, "none", key), f.a.Unblock(ctx, "plain", key), f.a.Unblock(ctx, "p", ratelimit.Key{}),
		} {
			assert.Error(t, err)
		}
		_, err := f.a.Take(ctx, "p", ratelimit.Key{}, 1)
		require.ErrorIs(t, err, ratelimit.ErrInvalidOp)
		assert.Empty(t, f.a.Blocked())
	})
}

// A reset and a replacement of the rules leave of the penalty what they should.
func TestPenaltyResetAndReplace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := penalized(ratelimit.Penalty{After: ratelimit.PerHour(3)})
		l := newLimiter(t, ratelimit.Config{Rules: []ratelimit.Rule{p}})
		blockLengthOf(t, l, 3)
		require.NoError(t, l.Replace(ratelimit.Config{Rules: []ratelimit.Rule{p}}))
		assert.Equal(t, time.Minute, blockLength(t, l), "blocked by the same rule")
		require.NoError(t, l.Replace(ratelimit.Config{Rules: []ratelimit.Rule{rule("p", "1 per hour")}}))
		assert.Equal(t, 200, serve(l.Handler(ok), request("192.0.2.1:1")).Code, "no Penalty any more")
		require.NoError(t, l.Replace(ratelimit.Config{Rules: []ratelimit.Rule{p}}))
		require.NoError(t, l.Reset(t.Context(), "p", theClient(t)))
		assert.Equal(t, time.Minute, blockLengthOf(t, l, 3), "as if it had never been")
	})
}

// Requests without identity, and keys that a full store has no room for, are nobody in particular.
func TestPenaltyBlamesNobodyElse(t *testing.T) {
	p := penalized(ratelimit.Penalty{After: ratelimit.PerHour(1)})
	l := newLimiter(t, ratelimit.Config{Rules: []ratelimit.Rule{p}})
	h := l.Handler(ok)
	for _, want := range []int{200, 429, 429, 429} {
		require.Equal(t, want, serve(h, request("@")).Code)
	}
	assert.Empty(t, l.Blocked())

	l = newLimiter(t, ratelimit.Config{Rules: []ratelimit.Rule{p}, Store: ratelimit.NewMemoryStore(ratelimit.MemoryConfig{MaxKeys: 1})})
	h = l.Handler(ok)
	for i := range 10 { // the first one has the only bucket, the others share one
		want := 429
		if i < 2 {
			want = 200
		}
		for range 3 {
			require.Equal(t, want, serve(h, request(address(i)+":1")).Code)
			want = 429
		}
	}
	assert.Empty(t, l.Blocked())
}

// More blocks than there is memory for are looked up in the store: none is forgiven.
func TestBlocksBeyondMemory(t *testing.T) {
	const n = 2000
	for _, shared := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			news := 0
			store := newTripStore()
			p := rule("p", "1 per minute")
			p.Penalty = &ratelimit.Penalty{After: ratelimit.PerHour(1), For: time.Hour}
			cfg := ratelimit.Config{
				Rules:     []ratelimit.Rule{p},
				OnBlocked: func(context.Context, ratelimit.Block) { news++ },
			}
			if shared {
				cfg.Store, cfg.OnStoreFailure = store, ratelimit.FailOpen
			}
			last := reasons(&cfg)
			l := newLimiter(t, cfg)
			ratelimit.BoundBlocks(l, 1000)
			h := l.Handler(ok)
			flood := func(from int) {
				for i := from; i < from+n; i++ {
					require.Equal(t, 200, serve(h, request(address(i)+":1")).Code)
					require.Equal(t, 429, serve(h, request(address(i)+":1")).Code)
				}
			}
			flood(0)
			require.Equal(t, n, news)
			known := len(l.Blocked())
			assert.InDelta(t, 1000, known, 64)
			blocked := func() {
				for i := range n {
					*last = ratelimit.Decision{}
					require.Equal(t, 429, serve(h, request(address(i)+":1")).Code)
					require.Equal(t, ratelimit.ReasonBlocked, last.Reason)
				}
			}
			before := store.trips.Load()
			blocked()
			if shared {
				assert.Equal(t, int64(n-known), store.trips.Load()-before, "a trip for each that is not known")
			}
			time.Sleep(time.Minute) // when the limit would admit them
			blocked()
			require.Equal(t, n, news)
			assert.Len(t, l.Blocked(), known)
			time.Sleep(time.Hour)
			flood(n) // of others, so that nothing but a new block finds out
			assert.InDelta(t, known, len(l.Blocked()), 64, "room is made of blocks that have ended")
		})
	}
}

// Of all requests of a blocked key, one at a time asks whether it still is.
func TestOneRequestAsksAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		trips := newTripStore()
		slow := &pausingStore{Store: trips, answered: make(chan struct{}), resume: make(chan struct{})}
		slow.later.Store(true) // not yet
		l := newLimiter(t, ratelimit.Config{
			Rules: []ratelimit.Rule{penalized(ratelimit.Penalty{After: ratelimit.PerHour(1), For: time.Hour})},
			Store: slow, OnStoreFailure: ratelimit.FailOpen, StoreTimeout: time.Hour,
		})
		blockLengthOf(t, l, 1)
		time.Sleep(10 * time.Second)
		slow.later.Store(false)
		before := trips.trips.Load()
		var wg sync.WaitGroup
		wg.Go(func() { assert.Equal(t, 429, serve(l.Handler(ok), request("192.0.2.1:1")).Code) })
		<-slow.answered
		for range 100 {
			assert.Equal(t, 429, serve(l.Handler(ok), request("192.0.2.1:1")).Code)
		}
		assert.Equal(t, int64(1), trips.trips.Load()-before)
		close(slow.resume)
		wg.Wait()
	})
}

// A block that was lifted while another goroutine was asking is not remembered.
func TestUnblockOvertakes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, ratelimit.FailOpen, penalized(ratelimit.Penalty{After: ratelimit.PerHour(1), For: time.Hour}))
		blockLengthOf(t, f.b, 1)
		slow := &pausingStore{Store: f.store, answered: make(chan struct{}), resume: make(chan struct{})}
		l := newLimiter(t, ratelimit.Config{Rules: []ratelimit.Rule{penalized(ratelimit.Penalty{After: ratelimit.PerHour(1)})}, Store: slow, OnStoreFailure: ratelimit.FailOpen, StoreTimeout: time.Hour})
		var wg sync.WaitGroup
		wg.Go(func() { assert.Equal(t, 429, serve(l.Handler(ok), request("192.0.2.1:1")).Code) })
		<-slow.answered
		require.NoError(t, l.Unblock(t.Context(), "p", theClient(t)))
		close(slow.resume)
		wg.Wait()
		assert.Equal(t, 200, serve(l.Handler(ok), request("192.0.2.1:1")).Code)
	})
}

// pausingStore keeps its first answer back.
type pausingStore struct {
	ratelimit.Store
	later            atomic.Bool
	answered, resume chan struct{}
}

func (s *pausingStore) Apply(ctx context.Context, ops []ratelimit.Op) error {
	err := s.Store.Apply(ctx, ops)
	if !s.later.Swap(true) {
		close(s.answered)
		<-s.resume
	}
	return err
}

// The one whose turn it is to ask whether a block still holds may be refused by another rule before: then it is the
// next one's turn, and a pardon elsewhere is seen.
func TestPardonIsSeenBehindAnotherRefusal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newTripStore()
		feared := rule("feared", "100 per second")
		feared.Penalty = &ratelimit.Penalty{}
		named := ratelimit.Rule{Name: "named", Limits: ratelimit.MustParse("100 per second"), Key: ratelimit.ByHeader("X-Key"), Unidentified: ratelimit.RefuseUnidentified}
		busy := ratelimit.Rule{Name: "busy", Key: ratelimit.ByHeader("X-Busy"), InFlight: 1, Unidentified: ratelimit.SkipUnidentified}
		cfg := ratelimit.Config{Store: store, OnStoreFailure: ratelimit.FailClosed, Rules: []ratelimit.Rule{feared, named, busy}}
		here, there := newLimiter(t, cfg), newLimiter(t, cfg)
		background(here.Handler(lasting), request("192.0.2.2:1", "X-Key", "k", "X-Busy", "b", "Lasts", "10m"))
		for _, other := range []struct {
			request []string
			status  int
		}{{nil, 403}, {[]string{"X-Key", "k", "X-Busy", "b"}, 429}} {
			require.NoError(t, there.Block(t.Context(), "feared", theClient(t), time.Hour))
			time.Sleep(11 * time.Second)
			require.Equal(t, 429, serve(here.Handler(ok), request("192.0.2.1:1", "X-Key", "k")).Code)
			require.NoError(t, there.Unblock(t.Context(), "feared", theClient(t)))
			for range 6 {
				time.Sleep(10*time.Second + time.Millisecond)
				require.Equal(t, other.status, serve(here.Handler(ok), request("192.0.2.1:1", other.request...)).Code)
			}
			assert.Equal(t, 200, serve(here.Handler(ok), request("192.0.2.1:1", "X-Key", "k")).Code)
		}
		time.Sleep(10 * time.Minute)
	})
}
