// Package budgettest has a test of token budgets for stores that several instances share. Stores of
// this repository run it, and so can yours.
package budgettest

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ratelimit-go/ratelimit"
	"github.com/ratelimit-go/ratelimit/store"
	"github.com/ratelimit-go/ratelimit/tokenbudget"
)

// Each call reserves 30 tokens and uses up to 3 more.
const (
	calls    = 200
	reserved = 30
	more     = 3
	budget   = 3000
)

// TwoInstances runs two instances that share the budgets of package tokenbudget. Each gets 100
// streamed calls at once. The overrun is at most 3 tokens for each call in flight. When all calls
// are settled, the bucket holds exactly what was not used. TwoInstances calls newStore once for
// each instance. All stores must share their buckets.
func TwoInstances(t *testing.T, newStore func(t testing.TB) store.Store) {
	t.Helper()
	for name, output := range map[string]func(n int) int{
		"calls that use less or more": func(n int) int { return n % (reserved + more + 1) },
		"calls that use more":         func(n int) int { return reserved + n%(more+1) },
	} {
		t.Run(name, func(t *testing.T) {
			s := &service{t: t, output: output}
			s.start(newStore)
			s.load()
			s.judge()
		})
	}
}

// A service is two instances before one model.
type service struct {
	t      *testing.T
	output func(n int) int // the tokens of call n

	guards  [2]*tokenbudget.Guard
	servers [2]*httptest.Server
	served  atomic.Int64
	allowed atomic.Int64
	used    atomic.Int64
}

func (s *service) check(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Error(err)
	}
}

func (s *service) start(newStore func(t testing.TB) store.Store) {
	s.t.Helper()
	for i := range s.guards {
		g, err := tokenbudget.New(s.config(newStore(s.t)))
		if err != nil {
			s.t.Fatal(err)
		}
		s.guards[i], s.servers[i] = g, httptest.NewServer(g.Handler(http.HandlerFunc(s.model)))
		s.t.Cleanup(s.servers[i].Close)
	}
}

func (s *service) key() ratelimit.Keyer { return ratelimit.Global(s.t.Name()) }

func (s *service) config(shared store.Store) tokenbudget.Config {
	return tokenbudget.Config{
		Budgets: []tokenbudget.Budget{{
			Name: "user", Limits: ratelimit.MustParse(fmt.Sprintf("%d per year", budget)), Key: s.key(),
		}},
		Limiter: ratelimit.Config{
			Store: shared, StoreTimeout: 10 * time.Second, OnStoreFailure: ratelimit.FailClosed,
		},
		Settled: func(_ *http.Request, c tokenbudget.Charge) {
			if c.Basis != tokenbudget.ByUsage || c.Reserved != reserved {
				s.t.Errorf("a call was settled by %v, and had reserved %d: want by usage, and %d",
					c.Basis, c.Reserved, reserved)
			}
			s.used.Add(c.Tokens)
			s.allowed.Add(1)
		},
		OnError: func(_ context.Context, err error) { s.t.Error(err) },
	}
}

// model streams an answer, and tells how many tokens it has.
func (s *service) model(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/event-stream")
	out := s.output(int(s.served.Add(1)))
	for range out {
		_, _ = io.WriteString(w, `data: {"choices":[{"delta":{"content":"a"}}]}`+"\n\n")
		w.(http.Flusher).Flush()
	}
	_, _ = fmt.Fprintf(w, `data: {"choices":[],"usage":{"prompt_tokens":0,"completion_tokens":%d}}`+
		"\n\ndata: [DONE]\n\n", out)
}

// load sends all calls at once, and returns when they are settled.
func (s *service) load() {
	var all sync.WaitGroup
	for i := range calls {
		all.Go(func() { s.check(s.call(s.servers[i%2].URL)) })
	}
	all.Wait()
	for _, server := range s.servers {
		server.Close() // waits for the handlers
	}
}

func (s *service) call(url string) error {
	body := strings.NewReader(`{"max_tokens":23}    `) // 21 bytes are 7 tokens
	r, err := http.NewRequestWithContext(s.t.Context(), http.MethodPost, url, body)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	_, err = io.Copy(io.Discard, resp.Body)
	return err
}

func (s *service) judge() {
	s.t.Helper()
	used, allowed := s.used.Load(), s.allowed.Load()
	s.t.Logf("%d calls used %d of %d tokens", allowed, used, budget)
	if used > budget+more*calls || used <= budget/3 {
		s.t.Errorf("%d tokens used: want more than %d, and at most %d", used, budget/3, budget+more*calls)
	}
	if allowed >= calls {
		s.t.Errorf("no call was denied")
	}
	key, err := s.key().Key(nil)
	s.check(err)
	for _, g := range s.guards {
		d, err := g.Limiter().Peek(s.t.Context(), "user per 8760h0m0s", key)
		s.check(err)
		if want := 2*budget - used; d.Remaining != want { // with the room for a debt of 3,000
			s.t.Errorf("%d tokens are left, want %d", d.Remaining, want)
		}
	}
}
