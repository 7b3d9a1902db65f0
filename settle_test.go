package ratelimit_test

import (
	"context"
	"errors"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit"
)

func charged(name, limits string, charge func(ratelimit.Response) int64) ratelimit.Rule {
	r := rule(name, limits)
	r.Charge = charge
	return r
}

// remaining returns what is left to the client of request under the named rule.
func remaining(t testing.TB, l *ratelimit.Limiter, rule string) int64 {
	t.Helper()
	key, err := ratelimit.ByRemoteIP().Key(request("192.0.2.1:1"))
	require.NoError(t, err)
	d, err := l.Peek(t.Context(), rule, key)
	require.NoError(t, err)
	return d.Remaining
}

func TestChargeByResponse(t *testing.T) {
	answer := func(status int) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			if status > 0 {
				w.WriteHeader(status)
			}
		})
	}
	twice := func(res ratelimit.Response) int64 { return 2 * res.Cost }
	for _, tc := range []struct {
		name   string
		charge func(ratelimit.Response) int64
		status int
		left   int64 // of 10
	}{
		{"a failed login counts", ratelimit.ChargeStatus(401, 403), 401, 7},
		{"so does the other status", ratelimit.ChargeStatus(401, 403), 403, 7},
		{"a successful login does not", ratelimit.ChargeStatus(401, 403), 200, 10},
		{"a failure is 400 or more", ratelimit.ChargeFailures, 400, 7},
		{"and not less", ratelimit.ChargeFailures, 399, 10},
		{"no status is 200", ratelimit.ChargeFailures, 0, 10},
		{"a success counts", ratelimit.ChargeSuccesses, 204, 7},
		{"a failure does not", ratelimit.ChargeSuccesses, 500, 10},
		{"more than was reserved", twice, 200, 4},
		{"more than there is", func(ratelimit.Response) int64 { return 1000 }, 200, 0},
		{"by the header", ratelimit.ChargeIf(func(res ratelimit.Response) bool { return res.Header.Get("X-Cache") == "hit" }), 200, 10},
		{"a mistake is charged what was reserved", func(ratelimit.Response) int64 { return -1 }, 200, 7},
		{"so is a panic", func(ratelimit.Response) int64 { panic("charge") }, 200, 7},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := charged("r", "10 per hour", tc.charge)
			r.Cost = func(*http.Request) int64 { return 3 }
			l := newLimiter(t, ratelimit.Config{Rules: []ratelimit.Rule{r}, OnError: func(context.Context, error) {}})
			w := serve(l.Handler(answer(tc.status)), request("192.0.2.1:1"))
			assert.Equal(t, max(tc.status, 200), w.Code)
			assert.Equal(t, tc.left, remaining(t, l, "r"))
		})
	}
}

func TestChargeMistakesAreReported(t *testing.T) {
	var errs []string
	report := func(_ context.Context, err error) { errs = append(errs, err.Error()) }
	for _, charge := range []func(ratelimit.Response) int64{
		func(ratelimit.Response) int64 { return -1 }, func(ratelimit.Response) int64 { panic("oops") },
	} {
		l := newLimiter(t, ratelimit.Config{Rules: []ratelimit.Rule{charged("r", "10 per hour", charge)}, OnError: report})
		serve(l.Handler(ok), request("192.0.2.1:1"))
	}
	assert.Equal(t, []string{"ratelimit: r: Charge: negative cost", "ratelimit: r: Charge: panic: oops"}, errs)
}

// There is no gap between the test and the charge: what is in flight counts.
func TestFailuresOnlyUnderParallelAttempts(t *testing.T) {
	const attempts = 200
	var reached atomic.Int64
	all := make(chan struct{})
	var came sync.WaitGroup
	came.Add(attempts)
	login := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		reached.Add(1)
		<-all // nobody is answered before everybody has come
		w.WriteHeader(http.StatusUnauthorized)
	})
	l := newLimiter(t, ratelimit.Config{})
	decorated := l.With(charged("login", "5 per hour", ratelimit.ChargeStatus(401)))(login)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		came.Done()
		decorated.ServeHTTP(w, r)
	}))
	defer server.Close()
	go func() { came.Wait(); close(all) }()
	var clients sync.WaitGroup
	var refused atomic.Int64
	for range attempts {
		clients.Go(func() {
			resp, err := http.Post(server.URL, "text/plain", nil)
			if assert.NoError(t, err) {
				_ = resp.Body.Close()
				if resp.StatusCode == http.StatusTooManyRequests {
					refused.Add(1)
				}
			}
		})
	}
	clients.Wait()
	assert.Equal(t, int64(5), reached.Load())
	assert.Equal(t, int64(attempts-5), refused.Load())
}

func TestSetCost(t *testing.T) {
	l := newLimiter(t, ratelimit.Config{Rules: []ratelimit.Rule{rule("rows", "100 per hour; 1000 per day"), rule("other", "10 per hour")}})
	inner := l.With(rule("inner", "50 per hour"))
	for _, tc := range []struct {
		name  string
		costs []int64
		left  int64
	}{
		{"more", []int64{30}, 70},
		{"less", []int64{0}, 100},
		{"the same", []int64{1}, 99},
		{"a running total", []int64{10, 20, 25}, 75},
		{"down again", []int64{60, 20}, 80},
		{"all there is", []int64{100}, 0},
		{"more than there is", []int64{101}, 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			key := ratelimit.UserKey(tc.name)
			require.NoError(t, l.Reset(t.Context(), "rows", key))
			serve(l.Handler(inner(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				for _, n := range tc.costs {
					assert.NoError(t, ratelimit.SetCost(r.Context(), "rows", n))
				}
			}))), request("192.0.2.1:1"))
			assert.Equal(t, tc.left, remaining(t, l, "rows"))
			assert.Equal(t, int64(49), remaining(t, l, "inner"), "another rule")
			assert.Equal(t, int64(9), remaining(t, l, "other"), "another rule")
			addr, _ := ratelimit.ByRemoteIP().Key(request("192.0.2.1:1"))
			for _, name := range []string{"rows", "inner", "other"} {
				require.NoError(t, l.Reset(t.Context(), name, addr))
			}
		})
	}
}

// A cost that was raised beyond what is there and lowered again gives back what it has taken, and no
// token of somebody else's, whatever gives it back.
func TestSetCostGivesBackWhatItTook(t *testing.T) {
	for _, tc := range []struct {
		name         string
		limits       string
		spent        int64 // before the request, which takes 1
		costs        []int64
		during, left int64
	}{
		{"a little more than there is", "10 per hour", 6, []int64{5, 0}, 0, 4},
		{"all that there is", "10 per hour", 6, []int64{4, 0}, 0, 4},
		{"nothing is there", "10 per hour", 9, []int64{10, 0}, 0, 1},
		{"more than the bucket can hold", "10 per hour", 9, []int64{1 << 62, 0}, 0, 1},
		{"more in steps", "10 per hour", 6, []int64{3, 1000, 2000, 0}, 0, 4},
		{"back to a part of it", "10 per hour", 6, []int64{100, 2}, 0, 2},
		{"back to what is still more", "10 per hour", 6, []int64{100, 50}, 0, 0},
		{"down and up again", "10 per hour", 6, []int64{100, 2, 3, 0}, 0, 4},
		{"the smaller of two limits", "10 per hour; 20 per day", 6, []int64{13, 0}, 0, 4},
		{"a limit of many tokens in a nanosecond", "1_000_000_000 per 100 milliseconds burst 10", 0, []int64{11, 0}, 0, 10},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				for _, store := range []ratelimit.Store{nil, storeFunc(ratelimit.NewMemoryStore(ratelimit.MemoryConfig{}).Apply)} {
					l := newLimiter(t, ratelimit.Config{Rules: []ratelimit.Rule{rule("r", tc.limits)}, Store: store, OnStoreFailure: ratelimit.FailClosed})
					key, err := ratelimit.ByRemoteIP().Key(request("192.0.2.1:1"))
					require.NoError(t, err)
					_, err = l.Take(t.Context(), "r", key, tc.spent)
					require.NoError(t, err)
					during := int64(-1)
					serve(l.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
						for _, n := range tc.costs {
							require.NoError(t, ratelimit.SetCost(r.Context(), "r", n))
							if during < 0 || remaining(t, l, "r") < during {
								during = remaining(t, l, "r")
							}
						}
					})), request("192.0.2.1:1"))
					assert.Equal(t, tc.during, during)
					assert.Equal(t, tc.left, remaining(t, l, "r"))
				}
			})
		})
	}
}

// Nor does a refusal further in give back more.
func TestSetCostAndAnInnerRefusal(t *testing.T) {
	l := newLimiter(t, ratelimit.Config{Rules: []ratelimit.Rule{rule("rows", "10 per hour")}})
	never := rule("never", "1 per hour")
	never.Cost = func(*http.Request) int64 { return 2 }
	refusing := l.With(never)(ok)
	for range 6 {
		serve(l.Handler(ok), request("192.0.2.1:1"))
	}
	serve(l.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		require.NoError(t, ratelimit.SetCost(r.Context(), "rows", 1000))
		require.Zero(t, remaining(t, l, "rows"))
		refusing.ServeHTTP(w, r)
	})), request("192.0.2.1:1"))
	assert.Equal(t, int64(4), remaining(t, l, "rows"))
}

// What a store that failed may not have taken is not given back to it.
func TestSetCostWithoutStore(t *testing.T) {
	store := newMortal()
	l := newLimiter(t, ratelimit.Config{
		Store: store, OnStoreFailure: ratelimit.FailClosed, OnError: func(context.Context, error) {},
		Rules: []ratelimit.Rule{charged("rows", "10 per hour", ratelimit.ChargeFailures)},
	})
	for range 5 {
		serve(l.Handler(http.NotFoundHandler()), request("192.0.2.1:1"))
	}
	serve(l.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		store.dead.Store(true)
		require.NoError(t, ratelimit.SetCost(r.Context(), "rows", 5))
		store.dead.Store(false)
	})), request("192.0.2.1:1"))
	assert.Equal(t, int64(5), remaining(t, l, "rows"), "of 5 before")
}

// A handler that http.TimeoutHandler has left behind is refused further in when the request is answered
// already: what that has cost stays, and nothing is given back twice.
func TestNothingIsGivenBackAfterTheAnswer(t *testing.T) {
	for _, late := range []time.Duration{0, time.Second} {
		synctest.Test(t, func(t *testing.T) {
			l := newLimiter(t, ratelimit.Config{Rules: []ratelimit.Rule{charged("failures", "100 per hour", ratelimit.ChargeFailures), charged("ok", "100 per hour", ratelimit.ChargeSuccesses)}})
			refuse := rule("identified", "1 per hour")
			refuse.Key, refuse.Unidentified = ratelimit.ByUser(func(*http.Request) string { return "" }), ratelimit.RefuseUnidentified
			inner := l.With(refuse)(ok)
			h := l.Handler(http.TimeoutHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				<-r.Context().Done()
				time.Sleep(late)
				inner.ServeHTTP(w, r)
			}), time.Second, ""))
			for range 20 {
				assert.Equal(t, 503, serve(h, request("192.0.2.1:1")).Code)
			}
			time.Sleep(late)
			synctest.Wait()
			if late > 0 {
				assert.Equal(t, int64(80), remaining(t, l, "failures"))
			}
			assert.Equal(t, int64(100), remaining(t, l, "ok"))
		})
	}
}

func TestSetCostMistakes(t *testing.T) {
	l := newLimiter(t, ratelimit.Config{Rules: []ratelimit.Rule{rule("rows", "100 per hour")}})
	serve(l.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		assert.EqualError(t, ratelimit.SetCost(r.Context(), "rows", -1), "ratelimit: SetCost: negative cost -1")
		assert.EqualError(t, ratelimit.SetCost(r.Context(), "row", 1), `ratelimit: SetCost: no rule "row" has been charged for this request`)
		assert.Error(t, ratelimit.SetCost(context.Background(), "rows", 1))
	})), request("192.0.2.1:1"))
	assert.Equal(t, int64(99), remaining(t, l, "rows"))
}

// A handler's own number is what Charge starts from, and what an inner refusal gives back.
func TestSetCostAndCharge(t *testing.T) {
	var seen int64
	r := charged("rows", "100 per hour", func(res ratelimit.Response) int64 { seen = res.Cost; return res.Cost + 1 })
	l := newLimiter(t, ratelimit.Config{Rules: []ratelimit.Rule{r}})
	serve(l.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		assert.NoError(t, ratelimit.SetCost(r.Context(), "rows", 40))
	})), request("192.0.2.1:1"))
	assert.Equal(t, int64(40), seen)
	assert.Equal(t, int64(59), remaining(t, l, "rows"))

	plain := newLimiter(t, ratelimit.Config{Rules: []ratelimit.Rule{rule("rows", "100 per hour")}})
	refusing := plain.With(ratelimit.Rule{Name: "never", Limits: ratelimit.MustParse("1 per hour"), Key: ratelimit.ByRemoteIP(), Cost: func(*http.Request) int64 { return 2 }})(ok)
	serve(plain.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		assert.NoError(t, ratelimit.SetCost(r.Context(), "rows", 40))
		refusing.ServeHTTP(w, r)
	})), request("192.0.2.1:1"))
	assert.Equal(t, int64(100), remaining(t, plain, "rows"))
}

// What an inner refusal has given back is not given back again by the outer rule's Charge.
func TestGivenBackOnce(t *testing.T) {
	l := newLimiter(t, ratelimit.Config{Rules: []ratelimit.Rule{charged("successes", "5 per hour", ratelimit.ChargeSuccesses)}})
	inner := l.With(ratelimit.Rule{Name: "never", Limits: ratelimit.MustParse("1 per hour"), Key: ratelimit.ByRemoteIP(), Cost: func(*http.Request) int64 { return 2 }})
	for range 3 {
		require.Equal(t, 200, serve(l.Handler(ok), request("192.0.2.1:1")).Code)
	}
	require.Equal(t, 429, serve(l.Handler(inner(ok)), request("192.0.2.1:1")).Code)
	assert.Equal(t, int64(2), remaining(t, l, "successes"))
}

// Whatever the handler does, the request is settled, and once.
func TestSettlesWhateverTheHandlerDoes(t *testing.T) {
	for name, tc := range map[string]struct {
		handler http.HandlerFunc
		want    ratelimit.Response
	}{
		"panics": {func(http.ResponseWriter, *http.Request) { panic("x") }, ratelimit.Response{Status: 500, Panicked: true}},
		"aborts": {func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusAccepted)
			panic(http.ErrAbortHandler)
		}, ratelimit.Response{Status: 202, Panicked: true}},
		"ends its goroutine": {func(http.ResponseWriter, *http.Request) { runtime.Goexit() }, ratelimit.Response{Status: 500, Panicked: true}},
		"streams": {func(w http.ResponseWriter, _ *http.Request) {
			w.(http.Flusher).Flush()
			_, _ = io.WriteString(w, "ab")
			assert.NoError(t, http.NewResponseController(w).Flush())
			_, _ = w.Write([]byte("cde"))
		}, ratelimit.Response{Status: 200, Bytes: 5}},
		"says something beforehand": {func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusEarlyHints)
			w.WriteHeader(http.StatusNotFound)
		}, ratelimit.Response{Status: 404}},
		"hijacks": {func(w http.ResponseWriter, _ *http.Request) {
			conn, _, err := http.NewResponseController(w).Hijack()
			if assert.NoError(t, err) {
				_ = conn.Close()
			}
		}, ratelimit.Response{Status: 101, Hijacked: true}},
		"copies": {func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.Copy(w, io.LimitReader(zeros{}, 1000))
		}, ratelimit.Response{Status: 200, Bytes: 1000}},
	} {
		t.Run(name, func(t *testing.T) {
			settled := make(chan ratelimit.Response, 2)
			r := charged("r", "10 per hour", func(res ratelimit.Response) int64 {
				settled <- res
				return 4
			})
			l := newLimiter(t, ratelimit.Config{Rules: []ratelimit.Rule{r}})
			server := httptest.NewUnstartedServer(l.Handler(tc.handler))
			server.Config.ErrorLog = quiet()
			server.Start()
			defer server.Close()
			resp, err := server.Client().Get(server.URL)
			if err == nil {
				_, _ = io.Copy(io.Discard, resp.Body)
				_ = resp.Body.Close()
			}
			res := <-settled
			assert.NotNil(t, res.Request)
			assert.Equal(t, int64(1), res.Cost)
			assert.Positive(t, res.Duration)
			assert.Equal(t, tc.want, ratelimit.Response{Status: res.Status, Bytes: res.Bytes, Panicked: res.Panicked, Hijacked: res.Hijacked})
			server.Close() // the deferred settling has ended, too
			assert.Empty(t, settled)
			local, _ := ratelimit.ByRemoteIP().Key(request("127.0.0.1:1"))
			require.Eventually(t, func() bool {
				d, err := l.Peek(t.Context(), "r", local)
				return err == nil && d.Remaining == 6
			}, 5*time.Second, time.Millisecond)
		})
	}
}

type zeros struct{}

func (zeros) Read(b []byte) (int, error) { clear(b); return len(b), nil }

// A client that leaves does not spare itself the charge, nor lose what is given back.
func TestSettlesWithoutTheClient(t *testing.T) {
	l := newLimiter(t, ratelimit.Config{
		Store: storeFunc(func(ctx context.Context, ops []ratelimit.Op) error {
			for i := range ops {
				ops[i].Result = ratelimit.Result{Allowed: true}
			}
			return ctx.Err()
		}), OnStoreFailure: ratelimit.FailClosed,
		OnError: func(_ context.Context, err error) { assert.NoError(t, err) },
		Rules:   []ratelimit.Rule{charged("r", "10 per hour", func(ratelimit.Response) int64 { return 0 })},
	})
	ctx, leave := context.WithCancel(t.Context())
	serve(l.Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { leave() })), request("192.0.2.1:1").WithContext(ctx))
}

// While the store is away nothing was taken, so nothing is settled.
func TestNothingIsSettledThatTheStoreDidNotTake(t *testing.T) {
	calls := 0
	l := newLimiter(t, ratelimit.Config{
		Store: storeFunc(func(context.Context, []ratelimit.Op) error { calls++; return errors.New("away") }), OnStoreFailure: ratelimit.FailOpen,
		OnError: func(context.Context, error) {},
		Rules:   []ratelimit.Rule{charged("r", "10 per hour", func(ratelimit.Response) int64 { return 0 })},
	})
	serve(l.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		assert.Error(t, ratelimit.SetCost(r.Context(), "r", 5))
	})), request("192.0.2.1:1"))
	assert.Equal(t, 1, calls)
}

func quiet() *log.Logger { return log.New(io.Discard, "", 0) }

// A storeFunc is a function as a Store.
type storeFunc func(ctx context.Context, ops []ratelimit.Op) error

func (f storeFunc) Apply(ctx context.Context, ops []ratelimit.Op) error { return f(ctx, ops) }
