package ratelimit_test

import (
	"context"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"runtime"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit"
)

// answering returns a handler that answers with a status, or with none if it is 0.
func answering(status int) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if status > 0 {
			w.WriteHeader(status)
		}
	})
}

// successes is a CountOnly that counts every response except failures.
func successes(res ratelimit.Response) bool { return !ratelimit.Failures(res) }

// Without a status that a response can have, StatusIn would count nothing.
func TestStatusInOfNoResponse(t *testing.T) {
	t.Parallel()
	for want, codes := range map[string][]int{
		"ratelimit: StatusIn(): no status: want for example StatusIn(401)":                       nil,
		"ratelimit: StatusIn(4): no response has this status: want for example StatusIn(401)":    {401, 4},
		"ratelimit: StatusIn(0): no response has this status: want for example StatusIn(401)":    {0},
		"ratelimit: StatusIn(103): no response has this status: want for example StatusIn(401)":  {103},
		"ratelimit: StatusIn(1000): no response has this status: want for example StatusIn(401)": {1000},
	} {
		assert.PanicsWithValue(t, want, func() { ratelimit.StatusIn(codes...) })
	}
	assert.NotPanics(t, func() { ratelimit.StatusIn(101, 200, 599, 999) })
}

func TestFailuresAndStatusIn(t *testing.T) {
	t.Parallel()
	codes := []int{401, 403}
	denied := ratelimit.StatusIn(codes...)
	codes[0] = 200 // too late to change anything
	for _, tc := range []struct {
		name           string
		res            ratelimit.Response
		failure, inSet bool
	}{
		{name: "success", res: ratelimit.Response{Status: 200}},
		{name: "redirect", res: ratelimit.Response{Status: 399}},
		{name: "first failure", res: ratelimit.Response{Status: 400}, failure: true},
		{name: "first status of the set", res: ratelimit.Response{Status: 401}, failure: true, inSet: true},
		{name: "between statuses of the set", res: ratelimit.Response{Status: 402}, failure: true},
		{name: "last status of the set", res: ratelimit.Response{Status: 403}, failure: true, inSet: true},
		{name: "server error", res: ratelimit.Response{Status: 500}, failure: true},
		{name: "panic after a success", res: ratelimit.Response{Status: 202, Panicked: true}, failure: true},
		{name: "hijacked", res: ratelimit.Response{Status: 101, Hijacked: true}},
		{name: "unknown", res: ratelimit.Response{Status: 0}, failure: true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			assert.Equal(t, tc.failure, ratelimit.Failures(tc.res))
			assert.Equal(t, tc.inSet, denied(tc.res))
		})
	}
}

// chargeCase is a rule of 10 per hour for requests that reserve 3 tokens, and what is left after
// one response.
type chargeCase struct {
	name   string
	counts func(ratelimit.Response) bool
	cost   func(ratelimit.Response) int64
	status int
	left   int64
}

func (tc chargeCase) run(t *testing.T) {
	t.Parallel()
	r := rule("r", "10 per hour")
	r.CountOnly, r.ResponseCost = tc.counts, tc.cost
	r.Cost = func(*http.Request) int64 { return 3 }
	l := newLimiter(t, ratelimit.Config{Rules: []ratelimit.Rule{r}, Hooks: unreported()})
	w := serve(l.Handler(answering(tc.status)), with())
	assert.Equal(t, max(tc.status, 200), w.Code)
	assert.Equal(t, tc.left, remaining(t, l, "r"))
}

func TestCountOnly(t *testing.T) {
	t.Parallel()
	denied := ratelimit.StatusIn(401, 403)
	cached := func(res ratelimit.Response) bool { return res.Header.Get("X-Cache") == "hit" }
	for _, tc := range []chargeCase{
		{name: "failed login", counts: denied, status: 401, left: 7},
		{name: "other status of a failed login", counts: denied, status: 403, left: 7},
		{name: "successful login", counts: denied, status: 200, left: 10},
		{name: "failure", counts: ratelimit.Failures, status: 400, left: 7},
		{name: "no failure", counts: ratelimit.Failures, status: 399, left: 10},
		{name: "no status may be a failure", counts: ratelimit.Failures, status: 0, left: 7},
		{name: "no status may be one of a set", counts: denied, status: 0, left: 7},
		{name: "no status may be a success", counts: successes, status: 0, left: 7},
		{name: "success", counts: successes, status: 204, left: 7},
		{name: "no success", counts: successes, status: 500, left: 10},
		{name: "by a header field", counts: cached, status: 200, left: 10},
		{
			name:   "a panic charges what was reserved",
			counts: func(ratelimit.Response) bool { panic("count") }, status: 200, left: 7,
		},
	} {
		t.Run(tc.name, tc.run)
	}
}

func TestResponseCost(t *testing.T) {
	t.Parallel()
	constant := func(n int64) func(ratelimit.Response) int64 {
		return func(ratelimit.Response) int64 { return n }
	}
	twice := func(res ratelimit.Response) int64 { return 2 * res.Cost }
	panics := func(ratelimit.Response) int64 { panic("cost") }
	for _, tc := range []chargeCase{
		{name: "no cost is one token", cost: constant(0), status: 200, left: 9},
		{name: "no status costs what was reserved", cost: constant(1), status: 0, left: 7},
		{name: "no status, and more than was reserved", cost: constant(4), status: 0, left: 6},
		{name: "counts", counts: successes, cost: constant(5), status: 200, left: 5},
		{name: "does not count", counts: ratelimit.Failures, cost: constant(5), status: 200, left: 10},
		{name: "counts, with no cost", counts: successes, cost: constant(0), status: 200, left: 9},
		{name: "less than was reserved", cost: constant(1), status: 200, left: 9},
		{name: "more than was reserved", cost: twice, status: 200, left: 4},
		{name: "more than the bucket has", cost: constant(1000), status: 200, left: 0},
		{name: "a negative cost charges what was reserved", cost: constant(-1), status: 200, left: 7},
		{name: "a panic charges what was reserved", cost: panics, status: 200, left: 7},
	} {
		t.Run(tc.name, tc.run)
	}
}

func TestMistakesOfChargesAreReported(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name string
		rule ratelimit.Rule
		want string
	}{
		{
			name: "negative cost",
			rule: charging("r", "10 per hour", func(ratelimit.Response) int64 { return -1 }),
			want: `ratelimit: rule "r": ResponseCost: negative cost -1`,
		},
		{
			name: "panic in ResponseCost",
			rule: charging("r", "10 per hour", func(ratelimit.Response) int64 { panic("oops") }),
			want: `ratelimit: rule "r": ResponseCost: panic: oops`,
		},
		{
			name: "panic in CountOnly",
			rule: counting("r", "10 per hour", func(ratelimit.Response) bool { panic("oops") }),
			want: `ratelimit: rule "r": CountOnly: panic: oops`,
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			var errs []string
			hooks := ratelimit.Hooks{Error: func(_ context.Context, err error) { errs = append(errs, err.Error()) }}
			l := newLimiter(t, ratelimit.Config{Rules: []ratelimit.Rule{tc.rule}, Hooks: hooks})
			serve(l.Handler(ok), with())
			assert.Equal(t, []string{tc.want}, errs)
		})
	}
}

// There is no gap between the decision and the charge: requests in flight hold their tokens.
func TestParallelFailuresCannotExceedTheLimit(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const attempts = 200
		var reached, denied, failed atomic.Int64
		answer := make(chan struct{})
		login := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			reached.Add(1)
			<-answer // no request is answered before all are there
			w.WriteHeader(http.StatusUnauthorized)
		})
		l := newLimiter(t, ratelimit.Config{})
		h := l.With(counting("login", "5 per hour", ratelimit.StatusIn(401)))(login)
		for range attempts {
			go func() {
				switch serve(h, with()).Code {
				case http.StatusTooManyRequests:
					denied.Add(1)
				case http.StatusUnauthorized:
					failed.Add(1)
				}
			}()
		}
		synctest.Wait()
		assert.Equal(t, int64(5), reached.Load())
		assert.Equal(t, int64(attempts-5), denied.Load(), "while 5 are in flight")
		close(answer)
		synctest.Wait()
		assert.Equal(t, int64(5), reached.Load())
		assert.Equal(t, int64(5), failed.Load())
		assert.Zero(t, remaining(t, l, "login"))
	})
}

// The response decides separately whether the request counts, and whether it is a violation.
func TestResponsesThatAreViolations(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name    string
		status  int
		left    int64 // of 10
		blocked bool
	}{
		{name: "neither", status: 200, left: 10},
		{name: "counts and is no violation", status: 404, left: 9},
		{name: "counts and is a violation", status: 403, left: 9, blocked: true},
		{name: "is a violation and does not count", status: 302, left: 10, blocked: true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			var costs []int64
			violation := ratelimit.StatusIn(302, 403)
			r := counting("r", "10 per hour", ratelimit.Failures)
			r.Block = &ratelimit.Block{
				After: ratelimit.Per(1, time.Hour),
				When: func(res ratelimit.Response) bool {
					costs = append(costs, res.Cost)
					return violation(res)
				},
			}
			l := newLimiter(t, ratelimit.Config{Rules: []ratelimit.Rule{r}})
			h := l.Handler(answering(tc.status))
			require.Equal(t, tc.status, serve(h, with()).Code)
			assert.Equal(t, []int64{1}, costs, "once, with what was reserved")
			assert.Equal(t, tc.blocked, len(l.Blocked(client())) == 1)
			if tc.blocked {
				require.Equal(t, http.StatusTooManyRequests, serve(h, with()).Code)
				assert.Len(t, costs, 1, "a request of a blocked key is no violation")
			}
			require.NoError(t, l.Unblock(t.Context(), "r", client()))
			assert.Equal(t, tc.left, remaining(t, l, "r"))
		})
	}
}

// A request is settled once, with the response that was sent, however its handler ends.
func TestRequestIsSettledOnceHoweverTheHandlerEnds(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name    string
		handler http.HandlerFunc
		want    ratelimit.Response
	}{
		{
			name:    "panics",
			handler: func(http.ResponseWriter, *http.Request) { panic("x") },
			want:    ratelimit.Response{Status: 500, Panicked: true},
		},
		{
			name: "aborts",
			handler: func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(http.StatusAccepted)
				panic(http.ErrAbortHandler)
			},
			want: ratelimit.Response{Status: 202, Panicked: true},
		},
		{
			name:    "ends its goroutine",
			handler: func(http.ResponseWriter, *http.Request) { runtime.Goexit() },
			want:    ratelimit.Response{Status: 500, Panicked: true},
		},
		{
			name: "streams",
			handler: func(w http.ResponseWriter, _ *http.Request) {
				w.(http.Flusher).Flush()
				_, _ = io.WriteString(w, "ab")
				assert.NoError(t, http.NewResponseController(w).Flush())
				_, _ = w.Write([]byte("cde"))
			},
			want: ratelimit.Response{Status: 200, Bytes: 5},
		},
		{
			name: "sends early hints",
			handler: func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(http.StatusEarlyHints)
				w.WriteHeader(http.StatusNotFound)
			},
			want: ratelimit.Response{Status: 404},
		},
		{
			name: "hijacks",
			handler: func(w http.ResponseWriter, _ *http.Request) {
				conn, _, err := http.NewResponseController(w).Hijack()
				if assert.NoError(t, err) {
					_ = conn.Close()
				}
			},
			want: ratelimit.Response{Status: 101, Hijacked: true},
		},
		{
			name: "copies",
			handler: func(w http.ResponseWriter, _ *http.Request) {
				_, _ = io.Copy(w, io.LimitReader(zeros{}, 1000))
			},
			want: ratelimit.Response{Status: 200, Bytes: 1000},
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			settled, left := settledOverTCP(t, tc.handler)
			require.Len(t, settled, 1)
			res := settled[0]
			require.NotNil(t, res.Request)
			assert.Equal(t, "/path", res.Request.URL.Path)
			assert.Equal(t, "yes", res.Header.Get("X-Outer"))
			assert.Equal(t, int64(1), res.Cost)
			assert.Positive(t, res.Duration)
			res.Request, res.Header, res.Cost, res.Duration = nil, nil, 0, 0
			assert.Equal(t, tc.want, res)
			assert.Equal(t, int64(6), left, "of 10")
		})
	}
}

// settledOverTCP sends one request to h behind a rule of 10 per hour, whose ResponseCost is 4. It
// returns the responses that were settled, and what is left to the client.
func settledOverTCP(t *testing.T, h http.Handler) (settled []ratelimit.Response, left int64) {
	t.Helper()
	l := newLimiter(t, ratelimit.Config{Rules: []ratelimit.Rule{
		charging("r", "10 per hour", func(res ratelimit.Response) int64 {
			settled = append(settled, res)
			return 4
		}),
	}})
	ended, limited := make(chan struct{}), l.Handler(h)
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer close(ended)
		w.Header().Set("X-Outer", "yes")
		limited.ServeHTTP(w, r)
	}))
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.Start()
	defer server.Close()
	post, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server.URL+"/path", nil) // is sent once
	require.NoError(t, err)
	resp, err := server.Client().Do(post)
	if err == nil { // some handlers leave the client without a response
		_, _ = io.Copy(io.Discard, resp.Body)
		_ = resp.Body.Close()
	}
	<-ended
	d, err := l.Peek(t.Context(), "r", ratelimit.AddrKey(netip.MustParseAddr("127.0.0.1")))
	require.NoError(t, err)
	return settled, d.Remaining
}

// zeros is an endless Reader.
type zeros struct{}

func (zeros) Read(b []byte) (int, error) { clear(b); return len(b), nil }
