package inflight

import (
	"context"
	"net/http"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit/store"
)

func TestEnterWithoutPermits(t *testing.T) {
	n := local()
	stay, denial := n.Enter(t.Context(), nil)
	assert.Nil(t, stay)
	assert.Nil(t, denial)
	assert.Nil(t, stay.Lease(new(Leases)))
	stay.Allow()
	stay.Leave()
	requireNoneHeld(t, n.Counter)
}

func TestPermitsAreReleasedHoweverARequestEnds(t *testing.T) {
	for name, handler := range map[string]func(context.Context){
		"return":    func(context.Context) {},
		"panic":     func(context.Context) { panic("x") },
		"nil panic": func(context.Context) { panic(nil) }, //nolint:govet // on purpose
		"abort":     func(context.Context) { panic(http.ErrAbortHandler) },
		"goexit":    func(context.Context) { runtime.Goexit() },
	} {
		t.Run(name, func(t *testing.T) {
			n, served := local(), 0
			for range 3 {
				ended := make(chan struct{})
				go func() {
					defer close(ended)
					defer func() { _ = recover() }()
					n.serve(t.Context(), func(ctx context.Context) {
						permits, _ := n.Held()
						assert.Equal(t, 2, permits)
						served++
						handler(ctx)
					}, permit("client", "alice", 1), permit("total", "all", 1))
				}()
				<-ended
				requireNoneHeld(t, n.Counter)
			}
			assert.Equal(t, 3, served)
		})
	}
}

func TestLeaveTwiceReleasesOnce(t *testing.T) {
	n, p := local(), permit("r", "alice", 2)
	first, _ := n.Enter(t.Context(), []Permit{p})
	second, _ := n.Enter(t.Context(), []Permit{p})
	first.Leave()
	first.Leave()
	permits, _ := n.Held()
	assert.Equal(t, 1, permits)
	second.Leave()
	requireNoneHeld(t, n.Counter)
}

// A request that is denied takes no time, and is no measure of how long requests take.
func TestOnlyAllowedRequestsAreMeasured(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, p := local(), permit("r", "alice", 1)
		for range 5 {
			n.background(t, 20*time.Second, p)
			pass(20 * time.Second)
		}
		for range 20 {
			stay, _ := n.Enter(t.Context(), []Permit{p})
			stay.Leave() // without Allow
		}
		n.background(t, time.Second, p)
		_, denial := n.Enter(t.Context(), []Permit{p})
		assert.Equal(t, &Denial{Permit: &p, Wait: 20 * time.Second}, denial)
		pass(time.Second)
		requireNoneHeld(t, n.Counter)
	})
}

func TestStayIsAContext(t *testing.T) {
	type name struct{}
	ctx, cancel := context.WithCancel(context.WithValue(t.Context(), name{}, "value"))
	stay, _ := local().Enter(ctx, []Permit{permit("r", "alice", 1)})
	defer stay.Leave()
	assert.Equal(t, "value", stay.Value(name{}))
	assert.NoError(t, stay.Err())
	cancel()
	assert.ErrorIs(t, stay.Err(), context.Canceled)
}

// Behind the same decorator twice, a request is in flight once. Two rules are two.
func TestSameRuleTwiceCountsOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, other := local(), local()
		one, two := permit("one", "alice", 1), permit("two", "alice", 1)
		var denials []*Denial
		inside := func(in *instance, p Permit, next func(context.Context)) func(context.Context) {
			return func(ctx context.Context) { denials = append(denials, in.serve(ctx, next, p)) }
		}
		handler := inside(n, one, inside(n, two, inside(other, one, inside(n, one, inside(n, two, func(context.Context) {
			time.Sleep(time.Second)
		})))))
		go handler(t.Context())
		synctest.Wait()
		permits, _ := n.Held()
		assert.Equal(t, 2, permits)
		assert.False(t, n.allows(t, two))
		assert.False(t, other.allows(t, one))
		pass(time.Second)
		handler(t.Context())
		assert.Equal(t, make([]*Denial, 10), denials)
		requireNoneHeld(t, n.Counter)
		requireNoneHeld(t, other.Counter)
	})
}

// A handler may go on in the background after its request has left. It then holds nothing.
func TestContextOfAStayThatHasLeft(t *testing.T) {
	n, p := local(), permit("r", "alice", 1)
	stay, _ := n.Enter(t.Context(), []Permit{p})
	inner, denial := n.Enter(context.WithoutCancel(stay), []Permit{p})
	assert.Nil(t, inner)
	assert.Nil(t, denial)
	stay.Leave()
	inner, _ = n.Enter(stay, []Permit{p})
	permits, _ := n.Held()
	assert.Equal(t, 1, permits)
	inner.Leave()
	requireNoneHeld(t, n.Counter)
}

func TestOuterPermitsAreLeftOut(t *testing.T) {
	n := local()
	outer, _ := n.Enter(t.Context(), []Permit{permit("r", "alice", 1)})
	inner, _ := n.Enter(outer, []Permit{permit("r", "alice", 1), permit("r", "bob", 1)})
	permits, _ := n.Held()
	assert.Equal(t, 2, permits)
	inner.Leave()
	permits, _ = n.Held()
	assert.Equal(t, 1, permits)
	outer.Leave()
	requireNoneHeld(t, n.Counter)
}

func TestInstancesShareLeases(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer()
		a, b := s.instance(t, nil), s.instance(t, nil)
		of := func(name string) []Permit { return []Permit{permit("each", name, 2), permit("all", "all", 3)} }
		a.background(t, time.Second, of("alice")...)
		b.background(t, 2*time.Second, of("alice")...)
		assert.Equal(t, 2*2, s.len())
		assert.False(t, a.allows(t, of("alice")...))
		assert.False(t, b.allows(t, of("alice")...))
		b.background(t, time.Second, of("bob")...)
		want := of("carol")
		denial := a.serve(t.Context(), nil, want...)
		assert.Equal(t, &Denial{Permit: &want[1], Wait: time.Second}, denial)
		pass(time.Second)
		assert.True(t, b.allows(t, of("alice")...))
		pass(time.Second)
		assert.Zero(t, s.len())
		requireNoneHeld(t, a.Counter)
		requireNoneHeld(t, b.Counter)
	})
}

// A request that another instance's leases deny holds nothing before Leave is called.
func TestDeniedLeaseIsNotReleased(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer()
		a, b := s.instance(t, nil), s.instance(t, nil)
		p := permit("r", "alice", 1)
		a.background(t, time.Second, p)
		s.asked()
		assert.False(t, b.allows(t, p))
		requireNoneHeld(t, b.Counter)
		assert.Equal(t, kinds("acquire"), s.asked())
		pass(time.Second)
		assert.Zero(t, s.len())
	})
}

func TestOwnPermitsComeBeforeLeases(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer()
		n, p := s.instance(t, nil), permit("r", "alice", 1)
		n.background(t, time.Second, p)
		for range 10 {
			assert.False(t, n.allows(t, p))
		}
		pass(time.Second)
		assert.Equal(t, kinds("acquire release"), s.asked())
	})
}

// While the store fails, each instance allows its part, or denies requests.
func TestAloneWhileTheStoreFails(t *testing.T) {
	for name, alone := range map[string]int{"none": 0, "one": 1, "a part": 2, "all": 4} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newServer()
				s.fails(away)
				n := s.instance(t, func(error) {})
				p := permit("r", "alice", 4)
				p.Alone = alone
				both := []Permit{permit("all", "all", 100), p}
				for range alone {
					n.background(t, time.Second, both...)
				}
				permits, _ := n.Held()
				assert.Equal(t, 2*alone, permits)
				denial := n.serve(t.Context(), nil, both...)
				if alone == 0 {
					assert.Equal(t, &Denial{Err: away(store.Acquire)}, denial)
				} else {
					assert.Equal(t, &Denial{Permit: &p, Wait: time.Second}, denial)
				}
				pass(time.Second)
				requireNoneHeld(t, n.Counter)
			})
		})
	}
}

// Requests that call a store that hangs count for this instance only once they go on.
func TestRequestsThatMeetWhileTheStoreHangs(t *testing.T) {
	for alone := 1; alone <= 5; alone++ {
		synctest.Test(t, func(t *testing.T) {
			s := newServer()
			s.fails(hangs)
			n := s.instance(t, func(error) {})
			p := permit("r", "alice", 2*alone)
			p.Alone = alone
			var allowed atomic.Int64
			var wg sync.WaitGroup
			for range alone + 1 {
				wg.Go(func() {
					n.serve(t.Context(), func(context.Context) { allowed.Add(1); time.Sleep(time.Second) }, p)
				})
			}
			wg.Wait()
			assert.Equal(t, int64(alone), allowed.Load())
			requireNoneHeld(t, n.Counter)
		})
	}
}

func TestInstanceUsesTheStoreAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer()
		a, b := s.instance(t, func(error) {}), s.instance(t, nil)
		p := permit("r", "alice", 1)
		s.fails(away)
		require.True(t, a.allows(t, p))
		s.fails(nil)
		b.background(t, time.Second, p)
		require.False(t, a.allows(t, p))
		pass(time.Second)
		require.True(t, a.allows(t, p))
	})
}
