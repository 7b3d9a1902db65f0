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
	"github.com/ratelimit-go/ratelimit/store"
)

const (
	deadline = 50 * time.Millisecond
	// slack is how much longer than its deadline a decision may take on a busy machine. Without a
	// deadline it would take the client's three seconds and more.
	slack = time.Second
	// soon is how long a test waits for an event that an idle machine sees within two seconds.
	soon = time.Minute
)

// noLeaks fails t if it leaves goroutines behind. TestMain does this for tests that run in
// parallel, all at once.
func noLeaks(t *testing.T) {
	before := goleak.IgnoreCurrent()
	t.Cleanup(func() { assert.NoError(t, leaks(before)) })
}

// leaks returns an error if goroutines that were not there before are left. A client that could not
// connect notices only after a second that it was closed.
func leaks(before goleak.Option) (err error) {
	for deadline := time.Now().Add(soon); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		if err = goleak.Find(before); err == nil {
			return nil
		}
	}
	return err
}

// An observed store counts its calls.
type observed struct {
	store.Store
	calls, inFlight, most atomic.Int64
}

func (o *observed) Apply(ctx context.Context, ops []store.Op) error {
	o.calls.Add(1)
	now := o.inFlight.Add(1)
	defer o.inFlight.Add(-1)
	for most := o.most.Load(); now > most && !o.most.CompareAndSwap(most, now); most = o.most.Load() {
	}
	return o.Store.Apply(ctx, ops)
}

// Shard implements [store.Sharder].
func (o *observed) Shard(key store.Key) string { return o.Store.(store.Sharder).Shard(key) }

// An instance is one instance of a service, with a rule named "r".
type instance struct {
	*ratelimit.Limiter
	store   *observed
	timeout time.Duration // of a decision
	events  atomic.Int64  // calls of Hooks.StoreState
	errs    atomic.Int64  // other errors than failures of the store

	mu      sync.Mutex
	reasons map[store.Reason]int

	// take takes a token of user.
	take func(user string) ratelimit.Decision
}

// newInstance returns an instance whose store uses client. Without limits it has "1_000_000 per
// second", which no test reaches. The zero Config means FailOpen and a deadline of 50 ms.
func newInstance(t testing.TB, client redis.UniversalClient, limits string, cfg ratelimit.Config) *instance {
	t.Helper()
	s, err := redisstore.New(client, redisstore.Config{})
	require.NoError(t, err)
	return newInstanceOn(t, s, limits, cfg)
}

// newInstanceOn is newInstance for a store that there is.
func newInstanceOn(t testing.TB, s store.Store, limits string, cfg ratelimit.Config) *instance {
	t.Helper()
	i := &instance{store: &observed{Store: s}, reasons: map[store.Reason]int{}}
	cfg.Store = i.store
	if cfg.OnStoreFailure == "" {
		cfg.OnStoreFailure = ratelimit.FailOpen
	}
	if cfg.StoreTimeout == 0 {
		cfg.StoreTimeout = deadline
	}
	i.timeout = cfg.StoreTimeout
	cfg.Hooks.Error = func(_ context.Context, err error) { i.learn(err) }
	cfg.Hooks.StoreState = func(context.Context, store.State) { i.events.Add(1) }
	if cfg.Rules == nil {
		if limits == "" {
			limits = "1_000_000 per second"
		}
		cfg.Rules = []ratelimit.Rule{{Name: "r", Limits: ratelimit.MustParse(limits), Key: ratelimit.ByClientIP()}}
	}
	var err error
	i.Limiter, err = ratelimit.New(cfg)
	require.NoError(t, err)
	i.take = takeFrom(i.Limiter)
	return i
}

// learn counts an error.
func (i *instance) learn(err error) {
	var failure *store.Error
	if !errors.As(err, &failure) {
		i.errs.Add(1)
		return
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	i.reasons[failure.Reason]++
}

// failures returns how often the store failed for each reason since the last call of failures.
func (i *instance) failures() map[store.Reason]int {
	i.mu.Lock()
	defer i.mu.Unlock()
	reasons := i.reasons
	i.reasons = map[store.Reason]int{}
	return reasons
}

func takeFrom(l *ratelimit.Limiter) func(user string) ratelimit.Decision {
	return func(user string) ratelimit.Decision {
		d, _ := l.Take(context.Background(), "r", ratelimit.UserKey(user), 1)
		return d
	}
}

// takeAll takes tokens of user until it is denied, and returns how many it took.
func (i *instance) takeAll(t testing.TB, user string) (n int64) {
	t.Helper()
	for {
		d := i.take(user)
		require.NoError(t, d.StoreErr)
		if !d.Allowed {
			return n
		}
		n++
	}
}

// left returns how many tokens the store says that user has.
func (i *instance) left(t testing.TB, user string) int64 {
	t.Helper()
	d, err := i.Peek(t.Context(), "r", ratelimit.UserKey(user))
	require.NoError(t, errors.Join(err, d.StoreErr))
	return d.Remaining
}

// back waits until the store decides again, and returns how long that took.
func (i *instance) back(t testing.TB) time.Duration {
	t.Helper()
	begin := time.Now()
	require.Eventually(t, func() bool { return i.take("other").StoreErr == nil }, soon, 5*time.Millisecond)
	return time.Since(begin)
}

// seen is the decisions that callers saw.
type seen struct {
	allowed, denied int64           // by the store
	open, closed    int64           // allowed and denied by the failure policy
	waits           []time.Duration // what each decision took
}

func (s *seen) add(d ratelimit.Decision, wait time.Duration) {
	switch {
	case d.StoreErr != nil && d.Allowed:
		s.open++
	case d.StoreErr != nil:
		s.closed++
	case d.Allowed:
		s.allowed++
	default:
		s.denied++
	}
	s.waits = append(s.waits, wait)
}

func (s *seen) total() int64 { return int64(len(s.waits)) }

// percentile returns the longest wait of the share p of decisions.
func (s *seen) percentile(p float64) time.Duration {
	if len(s.waits) == 0 {
		return 0
	}
	slices.Sort(s.waits)
	return s.waits[int(p*float64(len(s.waits)-1))]
}

// A load is callers that take tokens until stop.
type load struct {
	mu   sync.Mutex
	seen seen
	quit chan struct{}
	all  sync.WaitGroup
}

// startLoad starts callers that take tokens of user, with a pause after each decision.
func startLoad(i *instance, callers int, user string, pause time.Duration) *load {
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

// sofar returns what the callers saw since the last call of sofar.
func (l *load) sofar() seen {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.seen
	l.seen = seen{}
	return s
}

// await waits until what holds for the decisions since the last call of sofar.
func (l *load) await(t testing.TB, what func(s *seen) bool) {
	t.Helper()
	require.Eventually(t, func() bool {
		l.mu.Lock()
		defer l.mu.Unlock()
		return what(&l.seen)
	}, soon, 5*time.Millisecond)
}

// stop ends the load, and returns what the callers saw since the last call of sofar.
func (l *load) stop() seen {
	close(l.quit)
	l.all.Wait()
	return l.sofar()
}

// within asserts that no decision took much longer than its deadline.
func (i *instance) within(t testing.TB, s seen) {
	t.Helper()
	assert.LessOrEqual(t, s.percentile(1), i.timeout+slack, "the store delayed a decision")
}

// only asserts that every failure of the store had this reason.
func only(t testing.TB, got map[store.Reason]int, want ...store.Reason) {
	t.Helper()
	assert.NotEmpty(t, got)
	for reason := range got {
		assert.Contains(t, want, reason)
	}
}
