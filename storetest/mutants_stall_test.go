package storetest_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ratelimit-go/ratelimit/internal/storefake"
	"github.com/ratelimit-go/ratelimit/store"
	"github.com/ratelimit-go/ratelimit/storetest"
)

// A server is a Store that a test can stop. When it resumes, it applies the calls that have reached
// it meanwhile, but no caller receives an answer to them.
type server struct {
	store.Store
	mu      sync.Mutex
	stopped chan struct{} // nil while it runs; closed when it resumes
	waiting [][]store.Op
}

func (s *server) Apply(ctx context.Context, ops []store.Op) error {
	s.mu.Lock()
	stopped := s.stopped
	if stopped != nil {
		s.waiting = append(s.waiting, slices.Clone(ops))
		s.mu.Unlock()
		select {
		case <-stopped:
		case <-ctx.Done():
		}
		return context.DeadlineExceeded
	}
	defer s.mu.Unlock()
	return s.Store.Apply(ctx, ops)
}

func (s *server) stall() (resume func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stopped = make(chan struct{})
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		for _, ops := range s.waiting {
			_ = s.Store.Apply(context.Background(), ops)
		}
		close(s.stopped)
		s.stopped = nil
	}
}

// withServer returns h with its stores on servers, each of which c calls.
func withServer(h storetest.Harness, c client) storetest.Harness {
	var last *server
	newStore := h.New
	h.New = func(t testing.TB) store.Store {
		last = &server{Store: newStore(t)}
		s := last
		return storefake.Func(func(ctx context.Context, ops []store.Op) error { return c(s, ctx, ops) })
	}
	h.Stall = func() func() { return last.stall() }
	return h
}

func TestServerThatStalls(t *testing.T) {
	t.Parallel()
	storetest.Run(t, withServer(storetest.Harness{
		New:    func(testing.TB) store.Store { return newBuckets(time.Now) },
		Around: synctest.Test,
	}, store.Store.Apply))
}

// stallMutants returns the clients of servers as mutants.
func stallMutants() []mutant {
	same := func(s store.Store, _ *manual) storefake.Func { return s.Apply }
	var all []mutant
	for name := range clients() {
		all = append(all, mutant{
			name: name, make: same, racy: true,
			cases: []string{"a stalled store returns in time and retries no take"},
		})
	}
	return all
}

// A client calls a server.
type client func(server store.Store, ctx context.Context, ops []store.Op) error

// clients returns clients with a bug each.
func clients() map[string]client {
	return map[string]client{
		"ignores its context": func(server store.Store, ctx context.Context, ops []store.Op) error {
			return server.Apply(context.WithoutCancel(ctx), ops)
		},
		"retries when there is no answer": func(server store.Store, ctx context.Context, ops []store.Op) error {
			err := server.Apply(ctx, ops)
			if errors.Is(err, context.DeadlineExceeded) {
				err = server.Apply(ctx, ops)
			}
			return err
		},
		"sends a batch in parts": func(server store.Store, ctx context.Context, ops []store.Op) error {
			for i := range ops {
				if err := server.Apply(ctx, ops[i:i+1]); err != nil {
					return err
				}
			}
			return nil
		},
		"allows when there is no answer": func(server store.Store, ctx context.Context, ops []store.Op) error {
			err := server.Apply(ctx, ops)
			if errors.Is(err, context.DeadlineExceeded) {
				for i := range ops {
					ops[i].Result = store.Result{Allowed: true}
				}
				return nil
			}
			return err
		},
	}
}
