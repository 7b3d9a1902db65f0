package storetest_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/ratelimit-go/ratelimit"
	"github.com/ratelimit-go/ratelimit/storetest"
)

// A server is a Store that can be made to stop answering. What has reached it by then is done when
// it goes on, and nobody is told.
type server struct {
	ratelimit.Store
	mu      sync.Mutex
	stopped chan struct{} // nil unless it is; closed when it goes on
	waiting [][]ratelimit.Op
}

func (s *server) Apply(ctx context.Context, ops []ratelimit.Op) error {
	s.mu.Lock()
	stopped := s.stopped
	if stopped != nil {
		s.waiting = append(s.waiting, append([]ratelimit.Op(nil), ops...))
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

// withServer returns h with its stores on servers.
func withServer(h storetest.Harness, c client) storetest.Harness {
	var last *server
	newStore := h.New
	h.New = func(t testing.TB) ratelimit.Store {
		last = &server{Store: newStore(t)}
		s := last
		return storeFunc(func(ctx context.Context, ops []ratelimit.Op) error { return c(s, ctx, ops) })
	}
	h.Stall = func() func() { return last.stall() }
	return h
}

func TestServer(t *testing.T) {
	storetest.Run(t, withServer(storetest.Harness{
		New:    func(testing.TB) ratelimit.Store { return storetest.NewExact(nil) },
		Around: synctest.Test,
	}, ratelimit.Store.Apply))
}

// stallMutants are clients of a server.
func stallMutants() []mutant {
	same := func(s ratelimit.Store, _ *manual) storeFunc { return s.Apply }
	var all []mutant
	for name := range clients() {
		all = append(all, mutant{name, same, []string{"a store that does not answer"}, true})
	}
	return all
}

type client func(server ratelimit.Store, ctx context.Context, ops []ratelimit.Op) error

func clients() map[string]client {
	return map[string]client{
		"ignores its context": func(server ratelimit.Store, ctx context.Context, ops []ratelimit.Op) error {
			return server.Apply(context.WithoutCancel(ctx), ops)
		},
		"asks again when there is no answer": func(server ratelimit.Store, ctx context.Context, ops []ratelimit.Op) error {
			err := server.Apply(ctx, ops)
			if errors.Is(err, context.DeadlineExceeded) {
				err = server.Apply(ctx, ops)
			}
			return err
		},
		"sends a batch in parts": func(server ratelimit.Store, ctx context.Context, ops []ratelimit.Op) error {
			for i := range ops {
				if err := server.Apply(ctx, ops[i:i+1]); err != nil {
					return err
				}
			}
			return nil
		},
		"takes no answer for a yes": func(server ratelimit.Store, ctx context.Context, ops []ratelimit.Op) error {
			err := server.Apply(ctx, ops)
			if errors.Is(err, context.DeadlineExceeded) {
				for i := range ops {
					ops[i].Result = ratelimit.Result{Allowed: true}
				}
				return nil
			}
			return err
		},
	}
}
