package proof

import (
	"math/big"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/ratelimit-go/ratelimit"
)

// bucket is the obvious model: tokens as a rational number, and when they were counted.
type bucket struct {
	limit  ratelimit.Limit
	tokens *big.Rat
	at     time.Time
}

func newBucket(l ratelimit.Limit) *bucket {
	if l.Burst == 0 {
		l.Burst = l.Count
	}
	return &bucket{limit: l, tokens: big.NewRat(l.Burst, 1), at: time.Now()}
}

// add adds n tokens, without going above the burst.
func (b *bucket) add(n *big.Rat) {
	b.tokens.Add(b.tokens, n)
	if full := big.NewRat(b.limit.Burst, 1); b.tokens.Cmp(full) > 0 {
		b.tokens = full
	}
}

func (b *bucket) refill() {
	now := time.Now()
	b.add(new(big.Rat).Mul(big.NewRat(b.limit.Count, int64(b.limit.Period)), big.NewRat(int64(now.Sub(b.at)), 1)))
	b.at = now
}

// wait returns the time until there are n tokens, rounded up.
func (b *bucket) wait(n int64) time.Duration {
	missing := new(big.Rat).Sub(big.NewRat(n, 1), b.tokens)
	if missing.Sign() <= 0 {
		return 0
	}
	missing.Mul(missing, big.NewRat(int64(b.limit.Period), b.limit.Count))
	ns, rest := new(big.Int).QuoRem(missing.Num(), missing.Denom(), new(big.Int))
	if rest.Sign() > 0 {
		ns.Add(ns, big.NewInt(1))
	}
	return time.Duration(ns.Int64())
}

// left returns the number of whole tokens.
func (b *bucket) left() int64 {
	return new(big.Int).Div(b.tokens.Num(), b.tokens.Denom()).Int64()
}

// step is a step of a random schedule.
type step struct {
	key     int // 0 or 1
	kind    int // 0 takes, 1 refunds, 2 resets, and 3 lets time pass
	cost    int64
	pass    time.Duration
	exactly bool // sleep for the RetryAfter of a denial
}

func drawSteps(t *rapid.T, limit ratelimit.Limit) []step {
	var steps []step
	for range rapid.IntRange(1, 30).Draw(t, "steps") {
		steps = append(steps, step{
			key:     rapid.IntRange(0, 1).Draw(t, "key"),
			kind:    rapid.SampledFrom([]int{0, 0, 0, 0, 1, 2, 3}).Draw(t, "kind"),
			cost:    rapid.Int64Range(0, limit.Count+1).Draw(t, "cost"),
			pass:    time.Duration(rapid.Int64Range(0, int64(limit.Period)).Draw(t, "pass")),
			exactly: rapid.Bool().Draw(t, "exactly"),
		})
	}
	return steps
}

// A decision under several limits agrees with rational numbers to the nanosecond: the tokens left,
// and the longest wait of the limits that deny. A denial takes nothing.
func TestDecisionsAreExact(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		limits := drawLimits(rt)
		rule := ratelimit.Rule{Name: "r", Limits: limits}
		limiter, err := ratelimit.New(ratelimit.Config{Rules: []ratelimit.Rule{rule}})
		if err != nil {
			rt.Skip("not a valid configuration:", err)
		}
		steps := drawSteps(rt, limits[0])
		synctest.Test(t, func(t *testing.T) {
			// The store must read the clock of the bubble, so the limiter is made inside it.
			limiter, err = ratelimit.New(ratelimit.Config{Rules: []ratelimit.Rule{rule}})
			require.NoError(t, err)
			keys := []ratelimit.Key{ratelimit.UserKey("a"), ratelimit.UserKey("b")}
			models := make([][]*bucket, len(keys))
			for i := range keys {
				for _, l := range limits {
					models[i] = append(models[i], newBucket(l))
				}
			}
			for _, s := range steps {
				switch buckets, key := models[s.key], keys[s.key]; s.kind {
				case 0:
					wait := requireTake(t, limiter, key, buckets, s.cost)
					if s.exactly && wait > 0 {
						time.Sleep(wait - 1)
						require.Equal(t, time.Duration(1), requireTake(t, limiter, key, buckets, s.cost))
						time.Sleep(time.Nanosecond)
						require.Zero(t, requireTake(t, limiter, key, buckets, s.cost), "after its RetryAfter")
					}
				case 1:
					require.NoError(t, limiter.Refund(t.Context(), "r", key, s.cost))
					for _, b := range buckets {
						b.refill()
						b.add(big.NewRat(s.cost, 1))
					}
				case 2:
					require.NoError(t, limiter.Reset(t.Context(), "r", key))
					for _, b := range buckets {
						b.refill()
						b.add(big.NewRat(b.limit.Burst, 1))
					}
				case 3:
					time.Sleep(s.pass)
				}
			}
		})
	})
}

// requireTake takes n tokens from all buckets. If a bucket lacks them, it returns the wait.
func requireTake(t *testing.T, limiter *ratelimit.Limiter, key ratelimit.Key, buckets []*bucket, n int64) time.Duration {
	t.Helper()
	d, err := limiter.Take(t.Context(), "r", key, n)
	require.NoError(t, err)
	var wait time.Duration
	never := false
	for _, b := range buckets {
		b.refill()
		never = never || n > b.limit.Burst
		wait = max(wait, b.wait(n))
	}
	if never {
		require.Equal(t, ratelimit.ReasonExceedsBurst, d.Reason)
		require.Zero(t, d.RetryAfter)
		require.False(t, d.Allowed)
		return 0
	}
	require.Equal(t, wait == 0, d.Allowed, "%d tokens of %v", n, buckets)
	require.Equal(t, wait, d.RetryAfter)
	for _, b := range buckets {
		if d.Allowed {
			b.tokens.Sub(b.tokens, big.NewRat(n, 1))
		}
	}
	for _, b := range buckets {
		if b.limit == d.Limit {
			require.Equal(t, b.left(), d.Remaining)
			require.Equal(t, b.wait(b.limit.Burst), d.ResetAfter)
		}
	}
	return wait
}
