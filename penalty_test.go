package ratelimit_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit"
)

// penalized is a rule by which one request an hour is admitted, and all others are offences.
func penalized(p ratelimit.Penalty) ratelimit.Rule {
	r := rule("p", "1 per hour")
	r.Penalty = &p
	return r
}

// tripStore counts the calls of a Store, and can be made to fail.
type tripStore struct {
	ratelimit.Store
	trips atomic.Int64
	down  atomic.Bool
}

func newTripStore() *tripStore {
	return &tripStore{Store: ratelimit.NewMemoryStore(ratelimit.MemoryConfig{})}
}

func (s *tripStore) Apply(ctx context.Context, ops []ratelimit.Op) error {
	s.trips.Add(1)
	if s.down.Load() {
		return errors.New("down")
	}
	return s.Store.Apply(ctx, ops)
}

// theClient is the key of request("192.0.2.1:1").
func theClient(t testing.TB) ratelimit.Key {
	key, err := ratelimit.ByRemoteIP().Key(request("192.0.2.1:1"))
	require.NoError(t, err)
	return key
}

// reasons notes why requests are refused.
func reasons(cfg *ratelimit.Config) *ratelimit.Decision {
	last := new(ratelimit.Decision)
	cfg.OnDenied = func(_ *http.Request, d ratelimit.Decision) { *last = d }
	return last
}

// Exactly as many offences as After says lead to a block, whose end is the wait that is told.
func TestPenaltyAfterExactlyN(t *testing.T) {
	for _, n := range []int64{1, 2, 5, 100} {
		synctest.Test(t, func(t *testing.T) {
			cfg := ratelimit.Config{Rules: []ratelimit.Rule{penalized(ratelimit.Penalty{After: ratelimit.PerHour(n), For: 2 * time.Hour, Max: 2 * time.Hour})}}
			last := reasons(&cfg)
			l := newLimiter(t, cfg)
			h := l.Handler(ok)
			require.Equal(t, 200, serve(h, request("192.0.2.1:1")).Code)
			for range n - 1 {
				require.Equal(t, 429, serve(h, request("192.0.2.1:1")).Code)
				require.Equal(t, ratelimit.ReasonLimit, last.Reason)
			}
			assert.Empty(t, l.Blocked())
			w := serve(h, request("192.0.2.1:1"))
			assert.Equal(t, ratelimit.Decision{Reason: ratelimit.ReasonBlocked, Rule: "p", Key: theClient(t), RetryAfter: 2 * time.Hour}, *last)
			assert.Equal(t, []string{"7200"}, w.Header()["Retry-After"])
			assert.Equal(t, []ratelimit.Block{{Rule: "p", Key: theClient(t), Until: time.Now().Add(2 * time.Hour), Repeats: 1}}, l.Blocked())

			time.Sleep(2*time.Hour - 1)
			assert.Equal(t, 429, serve(h, request("192.0.2.1:1")).Code, "a nanosecond too early")
			assert.Equal(t, 200, serve(h, request("192.0.2.2:1")).Code, "somebody else")
			time.Sleep(time.Nanosecond)
			assert.Equal(t, 200, serve(h, request("192.0.2.1:1")).Code, "as it was told")
			assert.Empty(t, l.Blocked())
		})
	}
}

// While the limit has a longer wait than the block, that is told.
func TestPenaltyTellsTheLongestWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newLimiter(t, ratelimit.Config{Rules: []ratelimit.Rule{penalized(ratelimit.Penalty{After: ratelimit.PerHour(1)})}}).Handler(ok)
		serve(h, request("192.0.2.1:1"))
		assert.Equal(t, []string{"3600"}, serve(h, request("192.0.2.1:1")).Header()["Retry-After"])
		time.Sleep(time.Hour)
		assert.Equal(t, 200, serve(h, request("192.0.2.1:1")).Code)
	})
}

// blockLength offends until the client is blocked, and returns for how long.
func blockLength(t testing.TB, l *ratelimit.Limiter) time.Duration {
	t.Helper()
	for range 10 {
		d, err := l.Take(t.Context(), "p", theClient(t), 1000) // more than there ever is
		require.NoError(t, err)
		require.False(t, d.Allowed)
		if d.Reason == ratelimit.ReasonBlocked {
			return d.RetryAfter
		}
	}
	t.Fatal("not blocked")
	return 0
}

func TestPenaltyGrowth(t *testing.T) {
	const m, h = time.Minute, time.Hour
	for _, tc := range []struct {
		name    string
		penalty ratelimit.Penalty
		pauses  []time.Duration // after the end of each block
		want    []time.Duration
	}{
		{"doubled up to the ceiling", ratelimit.Penalty{}, []time.Duration{0, 0, 0, 0, 0, 0, 0, 0}, []time.Duration{m, 2 * m, 4 * m, 8 * m, 16 * m, 32 * m, h, h}},
		{"no ceiling but For", ratelimit.Penalty{For: h, Max: h}, []time.Duration{0, 0, 0}, []time.Duration{h, h, h}},
		{"a ceiling that is a doubling", ratelimit.Penalty{For: time.Second, Max: 4 * time.Second}, []time.Duration{0, 0, 0, 0}, []time.Duration{time.Second, 2 * time.Second, 4 * time.Second, 4 * time.Second}},
		{"just before it is forgotten", ratelimit.Penalty{Forget: h}, []time.Duration{h - m, h}, []time.Duration{m, 2 * m}},
		{"forgotten", ratelimit.Penalty{Forget: h}, []time.Duration{h, h, h}, []time.Duration{m, m, m}},
		{"one of three is forgotten", ratelimit.Penalty{Forget: h}, []time.Duration{0, 0, h, 0}, []time.Duration{m, 2 * m, 4 * m, 4 * m}},
		{"two of three are forgotten", ratelimit.Penalty{Forget: h}, []time.Duration{0, 0, 2 * h, 0}, []time.Duration{m, 2 * m, 4 * m, 2 * m}},
		{"no more are remembered than lead to the ceiling", ratelimit.Penalty{Max: 2 * m, Forget: h}, []time.Duration{0, 0, 0, 0, h, h}, []time.Duration{m, 2 * m, 2 * m, 2 * m, 2 * m, m}},
		{"blocked for longer than it takes to forget", ratelimit.Penalty{For: h, Max: 8 * h, Forget: m}, []time.Duration{0, 0, m, 0}, []time.Duration{h, 2 * h, 4 * h, 4 * h}},
		{"times that are no whole milliseconds", ratelimit.Penalty{For: time.Second + 1, Max: 5*time.Second + 7, Forget: m + 3}, []time.Duration{0, 0, 0, 0}, []time.Duration{1001 * time.Millisecond, 2002 * time.Millisecond, 4004 * time.Millisecond, 5001 * time.Millisecond}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				tc.penalty.After = ratelimit.PerHour(3)
				l := newLimiter(t, ratelimit.Config{Rules: []ratelimit.Rule{penalized(tc.penalty)}})
				for i, pause := range tc.pauses {
					if i == len(tc.want) {
						break
					}
					got := blockLength(t, l)
					require.Equal(t, tc.want[i], got, "block %d", i+1)
					time.Sleep(got + time.Microsecond + pause)
				}
			})
		})
	}
}

// Offences that are fewer than After allows never block.
func TestPenaltyWindow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLimiter(t, ratelimit.Config{Rules: []ratelimit.Rule{penalized(ratelimit.Penalty{After: ratelimit.MustParse("3 per 3 minutes")[0]})}})
		for range 100 {
			d, err := l.Take(t.Context(), "p", theClient(t), 1000)
			require.NoError(t, err)
			require.Equal(t, ratelimit.ReasonNever, d.Reason)
			time.Sleep(time.Minute)
		}
	})
}

// What is asked for during a block is no offence, does not make it longer, and takes nothing.
func TestPenaltyWhileBlocked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := penalized(ratelimit.Penalty{After: ratelimit.PerHour(2), For: time.Minute})
		l := newLimiter(t, ratelimit.Config{Rules: []ratelimit.Rule{rule("all", "100 per day"), r}})
		h := l.Handler(ok)
		for range 3 {
			serve(h, request("192.0.2.1:1"))
		}
		require.Len(t, l.Blocked(), 1)
		for range 59 {
			time.Sleep(time.Second)
			for range 10 {
				require.Equal(t, 429, serve(h, request("192.0.2.1:1")).Code)
			}
		}
		d, err := l.Peek(t.Context(), "p", theClient(t))
		require.NoError(t, err)
		assert.Equal(t, []any{ratelimit.ReasonBlocked, time.Second}, []any{d.Reason, d.RetryAfter})
		time.Sleep(time.Second)
		assert.Empty(t, l.Blocked())
		d, err = l.Peek(t.Context(), "all", theClient(t))
		require.NoError(t, err)
		assert.Equal(t, int64(99), d.Remaining)
		serve(h, request("192.0.2.1:1"))
		assert.Empty(t, l.Blocked(), "one offence since, of two")
		serve(h, request("192.0.2.1:1"))
		assert.Len(t, l.Blocked(), 1)
	})
}

func TestPenaltyForResponses(t *testing.T) {
	answer := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.Method {
		case "POST":
			w.WriteHeader(401)
		case "PUT":
			panic(http.ErrAbortHandler)
		}
	})
	failed := func(res ratelimit.Response) bool { return res.Status == 401 || res.Panicked }
	for _, tc := range []struct {
		name    string
		offence func(ratelimit.Response) bool
		methods string
		blocked bool
	}{
		{"two failures", failed, "POST POST", false},
		{"three failures", failed, "POST POST POST", true},
		{"successes between them", failed, "GET POST GET POST GET GET GET", false},
		{"a handler that panics", failed, "PUT POST PUT", true},
		{"no Offence", nil, "POST POST POST POST", false},
		{"an Offence that panics", func(ratelimit.Response) bool { panic("offence") }, "POST POST POST POST", false},
	} {
		synctest.Test(t, func(t *testing.T) {
			r := rule("p", "100 per hour")
			r.Penalty = &ratelimit.Penalty{After: ratelimit.PerHour(3), Offence: tc.offence}
			var blocked []ratelimit.Block
			l := newLimiter(t, ratelimit.Config{
				Rules: []ratelimit.Rule{r}, OnError: func(context.Context, error) {},
				OnBlocked: func(_ context.Context, b ratelimit.Block) { blocked = append(blocked, b) },
			})
			h := l.Handler(answer)
			for _, method := range strings.Fields(tc.methods) {
				r := request("192.0.2.1:1")
				r.Method = method
				func() {
					defer func() { _ = recover() }()
					assert.NotEqual(t, 429, serve(h, r).Code, tc.name)
				}()
			}
			assert.Equal(t, tc.blocked, serve(h, request("192.0.2.1:1")).Code == 429, tc.name)
			assert.Equal(t, blocked, l.Blocked())
		})
	}
}

// Responses to requests that were in flight when their key was blocked are no offences.
func TestPenaltyInFlight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := rule("p", "100 per hour")
		r.Penalty = &ratelimit.Penalty{After: ratelimit.PerHour(3), Offence: func(res ratelimit.Response) bool { return res.Status == 404 }}
		l := newLimiter(t, ratelimit.Config{Rules: []ratelimit.Rule{r}})
		answer := make(chan struct{})
		h := l.Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			<-answer
			w.WriteHeader(404)
		}))
		var wg sync.WaitGroup
		for range 10 {
			wg.Go(func() { assert.Equal(t, 404, serve(h, request("192.0.2.1:1")).Code) })
		}
		synctest.Wait()
		close(answer)
		wg.Wait()
		require.Len(t, l.Blocked(), 1)
		time.Sleep(time.Minute)
		for range 3 {
			assert.Empty(t, l.Blocked())
			require.Equal(t, 404, serve(h, request("192.0.2.1:1")).Code)
		}
		require.Len(t, l.Blocked(), 1)
	})
}

// Of 200 goroutines that offend at once one blocks, for the first time.
func TestPenaltyTogether(t *testing.T) {
	for _, remote := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			var store ratelimit.Store
			if remote {
				store = newTripStore()
			}
			var blocked []int
			var mu sync.Mutex
			r := penalized(ratelimit.Penalty{After: ratelimit.PerHour(20)})
			l := newLimiter(t, ratelimit.Config{
				Rules: []ratelimit.Rule{r}, Store: store, OnStoreFailure: ratelimit.FailClosed,
				OnBlocked: func(_ context.Context, b ratelimit.Block) {
					mu.Lock()
					defer mu.Unlock()
					blocked = append(blocked, b.Repeats)
				},
			})
			h := l.Handler(ok)
			var wg sync.WaitGroup
			for range 200 {
				wg.Go(func() {
					for range 5 {
						serve(h, request("192.0.2.1:1"))
					}
				})
			}
			wg.Wait()
			assert.Equal(t, []int{1}, blocked)
			require.Len(t, l.Blocked(), 1)
			assert.Equal(t, time.Minute, time.Until(l.Blocked()[0].Until))
			time.Sleep(time.Minute)
			assert.Equal(t, 2*time.Minute, blockLengthOf(t, l, 20))
		})
	}
}

// blockLengthOf is blockLength, of exactly n offences.
func blockLengthOf(t testing.TB, l *ratelimit.Limiter, n int) time.Duration {
	t.Helper()
	for range n - 1 {
		d, err := l.Take(t.Context(), "p", theClient(t), 1000)
		require.NoError(t, err)
		require.Equal(t, ratelimit.ReasonNever, d.Reason)
	}
	d, err := l.Take(t.Context(), "p", theClient(t), 1000)
	require.NoError(t, err)
	require.Equal(t, ratelimit.ReasonBlocked, d.Reason)
	return d.RetryAfter
}

// Only an enforced rule blocks.
func TestPenaltyModes(t *testing.T) {
	for _, mode := range []ratelimit.Mode{ratelimit.Observe, ratelimit.Off, ratelimit.EnforcePercent(0)} {
		t.Run(fmt.Sprint(mode), func(t *testing.T) {
			r := penalized(ratelimit.Penalty{After: ratelimit.PerHour(1)})
			r.Mode = mode
			l := newLimiter(t, ratelimit.Config{Rules: []ratelimit.Rule{r}})
			h := l.Handler(ok)
			for range 5 {
				require.Equal(t, 200, serve(h, request("192.0.2.1:1")).Code)
			}
			require.NoError(t, l.SetMode("p", ratelimit.Enforce))
			serve(h, request("192.0.2.1:1"))
			serve(h, request("192.0.2.1:1"))
			require.Len(t, l.Blocked(), 1)
			require.NoError(t, l.SetMode("p", mode))
			assert.Equal(t, 200, serve(h, request("192.0.2.1:1")).Code)
		})
	}
}

func TestPenaltyMistakes(t *testing.T) {
	always := func(ratelimit.Response) bool { return true }
	for want, p := range map[string]ratelimit.Penalty{
		"Rules[0].Penalty.After: count -1":                            {After: ratelimit.PerHour(-1)},
		"Rules[0].Penalty.After: unlimited":                           {After: ratelimit.Unlimited()},
		"Rules[0].Penalty.After: an Offence":                          {Offence: always},
		"Rules[0].Penalty.For: 1ms":                                   {For: time.Millisecond},
		"Rules[0].Penalty.Max: 8761h0m0s: want a second":              {Max: 8761 * time.Hour},
		"Rules[0].Penalty.Max: 30s: want at least For, which is 1m0s": {Max: 30 * time.Second},
		"Rules[0].Penalty.Forget: -1ns":                               {Forget: -1},
	} {
		_, err := ratelimit.New(ratelimit.Config{Rules: []ratelimit.Rule{penalized(p)}})
		assert.ErrorContains(t, err, want)
	}
	all := ratelimit.Penalty{For: -1, Max: -1, Forget: -1, Offence: always}
	_, err := ratelimit.New(ratelimit.Config{Rules: []ratelimit.Rule{penalized(all)}})
	for _, field := range []string{".For", ".Max", ".Forget", ".After"} {
		assert.ErrorContains(t, err, "Rules[0].Penalty"+field)
	}
	widest := ratelimit.Penalty{After: ratelimit.PerDay(1), For: time.Second, Max: 8760 * time.Hour, Forget: 90 * 24 * time.Hour}
	newLimiter(t, ratelimit.Config{Rules: []ratelimit.Rule{penalized(widest)}})
}
