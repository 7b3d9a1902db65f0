package faults

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/ratelimit-go/ratelimit"
	"github.com/ratelimit-go/ratelimit/redisstore"
)

const (
	deadline = 50 * time.Millisecond
	// slack is how much longer than its deadline a decision may take on a machine that is busy
	// with other things. Without a deadline it would be the client's three seconds and more.
	slack = time.Second
	// soon is how long a test waits for what takes less than two seconds on an idle machine.
	soon = 20 * time.Second
)

// noLeaks makes it part of t that no goroutine is left of it. A client that could not connect
// notices only after a second that it has been closed.
func noLeaks(t *testing.T) {
	before := goleak.IgnoreCurrent()
	t.Cleanup(func() {
		var err error
		for deadline := time.Now().Add(soon); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
			if err = goleak.Find(before); err == nil {
				return
			}
		}
		assert.NoError(t, err)
	})
}

// observed counts what is asked of a store.
type observed struct {
	ratelimit.Store
	calls, inFlight, most atomic.Int64
}

func (o *observed) Apply(ctx context.Context, ops []ratelimit.Op) error {
	o.calls.Add(1)
	now := o.inFlight.Add(1)
	defer o.inFlight.Add(-1)
	for most := o.most.Load(); now > most && !o.most.CompareAndSwap(most, now); most = o.most.Load() {
	}
	return o.Store.Apply(ctx, ops)
}

// instance is one instance of a service, with one rule of the name "r".
type instance struct {
	*ratelimit.Limiter
	store   *observed
	timeout time.Duration // of a decision
	events  atomic.Int64  // changes of the store's state that were told
	errs    atomic.Int64  // other errors, of functions of the user's

	mu      sync.Mutex
	reasons map[ratelimit.FailureReason]int

	// take takes a token of user.
	take func(user string) ratelimit.Decision
}

// newInstance returns an instance whose store is behind client. The zero config means "1_000_000
// per second", which nobody reaches, FailOpen and a deadline of 50 ms.
func newInstance(t testing.TB, client redis.UniversalClient, limits string, cfg ratelimit.Config) *instance {
	t.Helper()
	store, err := redisstore.New(client, redisstore.Config{})
	require.NoError(t, err)
	i := &instance{store: &observed{Store: store}, reasons: map[ratelimit.FailureReason]int{}}
	cfg.Store = i.store
	if cfg.OnStoreFailure == 0 {
		cfg.OnStoreFailure = ratelimit.FailOpen
	}
	if cfg.StoreTimeout == 0 {
		cfg.StoreTimeout = deadline
	}
	i.timeout = cfg.StoreTimeout
	cfg.OnError = func(_ context.Context, err error) { i.learn(err) }
	if cfg.Rules == nil {
		if limits == "" {
			limits = "1_000_000 per second"
		}
		cfg.Rules = []ratelimit.Rule{{Name: "r", Limits: ratelimit.MustParse(limits), Key: ratelimit.ByRemoteIP()}}
	}
	i.Limiter, err = ratelimit.New(cfg)
	require.NoError(t, err)
	i.take = takeFrom(i.Limiter)
	return i
}

// learn is told of each error.
func (i *instance) learn(err error) {
	var failure *ratelimit.StoreError
	var change *ratelimit.StoreChange
	switch {
	case errors.As(err, &failure):
		i.mu.Lock()
		defer i.mu.Unlock()
		i.reasons[failure.Reason]++
	case errors.As(err, &change):
		i.events.Add(1)
	default:
		i.errs.Add(1)
	}
}

// failures returns how often each reason was given since it was last called.
func (i *instance) failures() map[ratelimit.FailureReason]int {
	i.mu.Lock()
	defer i.mu.Unlock()
	reasons := i.reasons
	i.reasons = map[ratelimit.FailureReason]int{}
	return reasons
}

func takeFrom(l *ratelimit.Limiter) func(user string) ratelimit.Decision {
	return func(user string) ratelimit.Decision {
		d, _ := l.Take(context.Background(), "r", ratelimit.UserKey(user), 1)
		return d
	}
}

// drain takes tokens until it is refused, and returns how many it got.
func (i *instance) drain(t testing.TB, user string) (n int64) {
	t.Helper()
	for {
		d := i.take(user)
		require.False(t, d.StoreFailed)
		if !d.Allowed {
			return n
		}
		n++
	}
}

// left returns how many tokens user has, as the store says.
func (i *instance) left(t testing.TB, user string) int64 {
	t.Helper()
	d, err := i.Peek(t.Context(), "r", ratelimit.UserKey(user))
	require.NoError(t, err)
	return d.Remaining
}

// back waits until the store decides again, and returns how long that took.
func (i *instance) back(t testing.TB) time.Duration {
	t.Helper()
	begin := time.Now()
	require.Eventually(t, func() bool { return !i.take("nobody").StoreFailed }, soon, 5*time.Millisecond)
	return time.Since(begin)
}

// seen is what callers saw.
type seen struct {
	admitted, refused int64           // by the store's decision
	open, closed      int64           // admitted and refused by the failure policy
	waits             []time.Duration // what each decision took
}

func (s *seen) add(d ratelimit.Decision, wait time.Duration) {
	switch {
	case d.StoreFailed && d.Allowed:
		s.open++
	case d.StoreFailed:
		s.closed++
	case d.Allowed:
		s.admitted++
	default:
		s.refused++
	}
	s.waits = append(s.waits, wait)
}

func (s *seen) total() int64 { return int64(len(s.waits)) }

// percentile returns the wait that the share p of decisions did not exceed.
func (s *seen) percentile(p float64) time.Duration {
	if len(s.waits) == 0 {
		return 0
	}
	slices.Sort(s.waits)
	return s.waits[int(p*float64(len(s.waits)-1))]
}

// load is callers who ask without end.
type load struct {
	mu   sync.Mutex
	seen seen
	quit chan struct{}
	all  sync.WaitGroup
}

// ask has callers ask for tokens of user until stop, each of them pause after its last answer.
func ask(i *instance, callers int, user string, pause time.Duration) *load {
	l := &load{quit: make(chan struct{})}
	for range callers {
		l.all.Go(func() {
			for {
				select {
				case <-l.quit:
					return
				case <-time.After(pause):
				}
				begin := time.Now()
				d := i.take(user)
				wait := time.Since(begin)
				l.mu.Lock()
				l.seen.add(d, wait)
				l.mu.Unlock()
			}
		})
	}
	return l
}

// sofar returns what the callers saw since it was last called.
func (l *load) sofar() seen {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.seen
	l.seen = seen{}
	return s
}

// await goes on until the callers have seen what is asked for since the last sofar.
func (l *load) await(t testing.TB, what func(s *seen) bool) {
	t.Helper()
	require.Eventually(t, func() bool {
		l.mu.Lock()
		defer l.mu.Unlock()
		return what(&l.seen)
	}, soon, 5*time.Millisecond)
}

// stop ends the load, and returns what the callers saw since the last sofar.
func (l *load) stop() seen {
	close(l.quit)
	l.all.Wait()
	return l.sofar()
}

// within asserts that no decision took longer than the deadline allows.
func (i *instance) within(t testing.TB, s seen) {
	t.Helper()
	assert.LessOrEqual(t, s.percentile(1), i.timeout+slack, "the store delayed a decision")
}

// only asserts that every failure of the store had this reason.
func only(t testing.TB, got map[ratelimit.FailureReason]int, want ...ratelimit.FailureReason) {
	t.Helper()
	assert.NotEmpty(t, got)
	for reason := range got {
		assert.Contains(t, want, reason)
	}
}
