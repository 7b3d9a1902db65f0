package inflight

import (
	"context"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit/store"
)

// A request that takes longer than a lease lasts holds the lease until its end. If its instance
// dies, the lease ends by itself.
func TestLeasesAreRenewed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer()
		a, b := s.instance(t, nil), s.instance(t, nil)
		p := permit("r", "alice", 1)
		a.background(t, 95*time.Second, p)
		for range 94 {
			assert.False(t, b.allows(t, p))
			pass(time.Second)
		}
		pass(2 * time.Second)
		renewals := 0
		for _, kind := range s.asked() {
			if kind == store.Renew {
				renewals++
			}
		}
		assert.Equal(t, 9, renewals)
		assert.Zero(t, s.len())

		dead := []store.Lease{{Rule: p.Rule, Key: p.Key, Max: 1, TTL: 30 * time.Second}}
		require.Nil(t, s.Lease(t.Context(), store.Acquire, dead))
		pass(29 * time.Second)
		assert.False(t, b.allows(t, p))
		pass(time.Second)
		assert.True(t, b.allows(t, p))
	})
}

func TestRenewalsPerTTL(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer()
		n := s.instance(t, nil)
		n.leases.TTL = 3 * time.Second
		n.background(t, 2500*time.Millisecond, permit("r", "alice", 1))
		pass(time.Minute)
		assert.Equal(t, kinds("acquire renew renew release"), s.asked())
	})
}

func TestLeasesOfARequestHaveOneOwner(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer()
		n := s.instance(t, nil)
		for range 2 {
			n.background(t, time.Second, permit("each", "alice", 2), permit("all", "all", 2))
		}
		owners := map[[16]byte]int{}
		s.mu.Lock()
		for _, held := range s.ends {
			for id := range held {
				owners[id]++
			}
		}
		s.mu.Unlock()
		assert.Len(t, owners, 2)
		for _, leases := range owners {
			assert.Equal(t, 2, leases)
		}
		pass(time.Second)
	})
}

// A renewal that fails is reported, and the next one makes up for it. A lease that has ended is
// reported too.
func TestRenewalFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer()
		reported := make(chan error, 10)
		n := s.instance(t, func(err error) { reported <- err })
		n.background(t, 100*time.Second, permit("r", "alice", 1))
		s.fails(away)
		pass(11 * time.Second)
		require.Len(t, reported, 1)
		err := <-reported
		assert.EqualError(t, err, "ratelimit: store: lease: away")
		var failed *store.Error
		require.ErrorAs(t, err, &failed)
		assert.Equal(t, store.ReasonConnect, failed.Reason)
		s.fails(nil)
		pass(20 * time.Second)
		require.Empty(t, reported)
		assert.Equal(t, 1, s.len())
		s.mu.Lock()
		clear(s.ends) // the server has lost its memory
		s.mu.Unlock()
		pass(10 * time.Second)
		require.Len(t, reported, 1)
		assert.EqualError(t, <-reported, `ratelimit: rule "r": a lease has ended before it was renewed: `+
			"more requests may be in flight than InFlight says")
		assert.Equal(t, 1, s.len(), "and taken again")
		pass(60 * time.Second)
		require.Empty(t, reported)
		assert.Zero(t, s.len())
	})
}

// A request that was allowed while the store failed is counted there when it works again.
func TestRequestsAllowedMeanwhileAreLeasedLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer()
		s.fails(away)
		reported := make(chan error, 10)
		n := s.instance(t, func(err error) { reported <- err })
		n.background(t, 20*time.Second, permit("r", "alice", 1))
		s.fails(nil)
		pass(11 * time.Second)
		assert.Equal(t, 1, s.len())
		pass(10 * time.Second)
		assert.Zero(t, s.len())
		assert.Len(t, reported, 1, "no lease was lost, because there was none")
	})
}

func TestStoreThatIsDownIsNotReported(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer()
		s.fails(down)
		n := s.instance(t, nil)
		assert.True(t, n.allows(t, permit("r", "alice", 1)))
		assert.Equal(t, kinds("acquire"), s.asked(), "a lease for which the store was not called is not released")

		n.background(t, 25*time.Second, permit("r", "alice", 1))
		pass(9 * time.Second)
		s.fails(nil)
		pass(5 * time.Second)
		s.fails(down)
		pass(30 * time.Second)
		assert.Equal(t, kinds("acquire renew renew release"), s.asked(), "the first renewal took it")
	})
}

// A permit is held until the handler has ended, and no longer if the store hangs then.
func TestPermitsAreReleasedBeforeLeases(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer()
		n, p := s.instance(t, func(error) {}), permit("r", "alice", 1)
		n.background(t, time.Second, p)
		s.fails(hangs)
		time.Sleep(time.Second + time.Millisecond)
		assert.True(t, n.allows(t, p))
		time.Sleep(time.Second)
		requireNoneHeld(t, n.Counter)
	})
}

func TestLeaseIsReleasedIfOnlyTheAnswerWasLost(t *testing.T) {
	for _, alone := range []int{0, 1} {
		synctest.Test(t, func(t *testing.T) {
			s := newServer()
			s.after = loses
			n, p := s.instance(t, func(error) {}), permit("r", "alice", 1)
			p.Alone = alone
			denial := n.serve(t.Context(), func(context.Context) { assert.Equal(t, 1, s.len()) }, p)
			assert.Equal(t, alone == 0, denial != nil)
			assert.Equal(t, kinds("acquire release"), s.asked())
			assert.Zero(t, s.len())
		})
	}
}

// However a request ends, its lease ends, and nothing is left running.
func TestLeasesAreReleasedHoweverARequestEnds(t *testing.T) {
	for name, handler := range map[string]func(context.Context){
		"return": func(context.Context) {},
		"panic":  func(context.Context) { panic("x") },
		"goexit": func(context.Context) { runtime.Goexit() },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newServer()
				n := s.instance(t, nil)
				for range 3 {
					ctx, cancel := context.WithCancel(t.Context())
					cancel() // which must not keep the lease from being released
					go func() {
						defer func() { _ = recover() }()
						n.serve(ctx, handler, permit("r", "alice", 1))
					}()
					synctest.Wait()
					assert.Zero(t, s.len())
					requireNoneHeld(t, n.Counter)
				}
				s.asked()
				pass(time.Hour)
				assert.Empty(t, s.asked(), "a timer was left")
			})
		})
	}
}

// A request that is denied for its tokens leaves without Allow. Its lease ends too.
func TestLeaseOfARequestThatIsDeniedLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer()
		n := s.instance(t, nil)
		stay, _ := n.Enter(t.Context(), []Permit{permit("r", "alice", 1)})
		require.Nil(t, stay.Lease(n.leases))
		require.Equal(t, 1, s.len())
		stay.Leave()
		assert.Zero(t, s.len())
		requireNoneHeld(t, n.Counter)
		s.asked()
		pass(time.Hour)
		assert.Empty(t, s.asked(), "a timer was left")
	})
}

func TestLeaveWaitsForARenewal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer()
		var last store.LeaseKind
		s.after = func(kind store.LeaseKind) *store.Error {
			if kind == store.Renew {
				time.Sleep(40 * time.Millisecond)
			}
			last = kind
			return nil
		}
		n, begin := s.instance(t, nil), time.Now()
		n.serve(t.Context(), func(context.Context) { time.Sleep(10*time.Second + 20*time.Millisecond) }, permit("r", "alice", 1))
		assert.Equal(t, 10*time.Second+40*time.Millisecond, time.Since(begin))
		assert.Equal(t, store.Release, last)
		assert.Equal(t, kinds("acquire renew release"), s.asked())
		assert.Zero(t, s.len())
	})
}

// A function of the user may end the goroutine that calls it: Report, or a hook of the store.
func TestGoroutineEndsInsideLease(t *testing.T) {
	for name, prepare := range map[string]func(s *server) (report func(error)){
		"report": func(s *server) func(error) {
			s.after = loses
			return func(error) { runtime.Goexit() }
		},
		"hook": func(s *server) func(error) {
			s.after = func(kind store.LeaseKind) *store.Error {
				if kind == store.Acquire {
					runtime.Goexit()
				}
				return nil
			}
			return nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newServer()
				n := s.instance(t, prepare(s))
				n.background(t, 0, permit("r", "alice", 1))
				assert.Equal(t, kinds("acquire release"), s.asked())
				assert.Zero(t, s.len())
				requireNoneHeld(t, n.Counter)
			})
		})
	}
}

// If Report ends the goroutine of the timer, the next renewal still comes.
func TestGoroutineEndsInsideARenewal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer()
		n := s.instance(t, func(error) { runtime.Goexit() })
		n.background(t, 25*time.Second, permit("r", "alice", 1))
		s.fails(away)
		pass(11 * time.Second)
		s.fails(nil)
		pass(time.Minute)
		assert.Equal(t, kinds("acquire renew renew release"), s.asked())
		assert.Zero(t, s.len())
		requireNoneHeld(t, n.Counter)
	})
}
