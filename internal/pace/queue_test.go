package pace_test

import (
	"math/big"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit/internal/pace"
	"github.com/ratelimit-go/ratelimit/internal/testsize"
)

// queues are buckets whose tokens take at least a nanosecond, with room for what flows in within an
// hour.
func queues() []pace.Queue {
	var all []pace.Queue
	for _, l := range []pace.Limit{
		{Count: 1, Period: time.Minute, Burst: 5},
		{Count: 7, Period: 3 * time.Second, Burst: 1000},
		{Count: 999_983, Period: 24 * time.Hour, Burst: 17},
		{Count: 3, Period: 7, Burst: 1000},
		{Count: 1, Period: time.Millisecond},
		{Count: 1_000_000, Period: time.Second},
	} {
		larger, extra := l.Extend(time.Hour)
		all = append(all, pace.Queue{Pace: of(l), Burst: larger.Full(), Extra: extra})
	}
	return all
}

// answer is what a store says of a bucket with this debt: whole tokens, and the debt rounded up.
func answer(q pace.Queue, debt pace.Span) (left int64, reset time.Duration) {
	return q.Tokens(q.Sub(q.TimeOf(q.Burst), debt)), debt.Ceil()
}

// A request is held until the bucket would have its tokens without the extra room.
func TestHoldIsNeverTooShort(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	for _, q := range queues() {
		fill := q.TimeOf(q.Burst)
		for range testsize.Of(2000, 500) {
			debt := anySpan(rnd, q.Pace, fill)
			left, reset := answer(q, debt)
			got := q.Hold(left, reset)
			exact := new(big.Rat).Sub(length(q.Pace, debt), length(q.Pace, q.TimeOf(q.Burst-q.Extra)))
			if exact.Sign() <= 0 {
				require.Zero(t, got, "%+v: %v", q, debt)
				continue
			}
			over := new(big.Rat).Sub(whole(int64(got)), exact)
			require.GreaterOrEqual(t, over.Sign(), 0, "%+v: %v is held for %v", q, debt, got)
			require.Negative(t, over.Cmp(whole(2)), "%+v: %v is held for %v", q, debt, got)
		}
	}
}

func TestHoldWithoutExtraRoom(t *testing.T) {
	q := pace.Queue{Pace: pace.Of(1, time.Second), Burst: 5}
	assert.Zero(t, q.Hold(0, 5*time.Second))
}

// LeftAfter counts the tokens after d. A token that is due within a nanosecond counts too.
func TestLeftAfter(t *testing.T) {
	rnd := rand.New(rand.NewPCG(3, 4))
	for _, q := range queues() {
		fill := q.TimeOf(q.Burst)
		for range testsize.Of(2000, 500) {
			debt := anySpan(rnd, q.Pace, fill)
			_, reset := answer(q, debt)
			d := time.Duration(rnd.Int64N(int64(reset) + 2))
			rest := new(big.Rat).Sub(length(q.Pace, debt), whole(int64(d)))
			if rest.Sign() < 0 {
				rest = new(big.Rat)
			}
			exact := new(big.Rat).Sub(whole(q.Burst), worth(q.Pace, rest))
			soon := new(big.Rat).Add(exact, worth(q.Pace, whole(1)))
			got := q.LeftAfter(reset, d)
			require.GreaterOrEqual(t, got, floor(exact), "%+v: %v after %v", q, debt, d)
			require.LessOrEqual(t, got, min(floor(soon), q.Burst), "%+v: %v after %v", q, debt, d)
		}
		assert.Zero(t, q.LeftAfter(fill.Ceil()+time.Hour, 0), "more debt than the bucket has room for")
	}
}

// Found counts the tokens of a bucket that denies cost. A token that is due within a nanosecond
// counts too.
func TestFound(t *testing.T) {
	rnd := rand.New(rand.NewPCG(5, 6))
	for _, q := range queues() {
		fill := q.TimeOf(q.Burst)
		for range testsize.Of(2000, 500) {
			cost := 1 + rnd.Int64N(q.Burst)
			rest := q.Sub(fill, q.TimeOf(cost))
			debt := q.Add(rest, anySpan(rnd, q.Pace, q.TimeOf(cost)))
			if debt.AtMost(rest) {
				continue // the bucket has the tokens
			}
			wait := q.Sub(debt, rest).Ceil()
			exact := new(big.Rat).Sub(whole(q.Burst), worth(q.Pace, length(q.Pace, debt)))
			soon := new(big.Rat).Add(exact, worth(q.Pace, whole(1)))
			got := q.Found(cost, wait)
			require.GreaterOrEqual(t, got, floor(exact), "%+v: %d in %v", q, cost, wait)
			require.LessOrEqual(t, got, floor(soon), "%+v: %d in %v", q, cost, wait)
		}
		assert.Zero(t, q.Found(q.Burst, 0), "no wait")
		assert.Zero(t, q.Found(q.Burst, -1), "a wait that no store may answer")
		assert.Zero(t, q.Found(1, fill.Ceil()+1), "a wait that is too long")
	}
}

func TestCheckWaitSaysWhatIsWrong(t *testing.T) {
	slow := []pace.Limit{{Count: 1, Period: time.Hour}, {Count: 1, Period: time.Minute}}
	for _, row := range []struct {
		name   string
		limits []pace.Limit
		wait   time.Duration
		want   string // "" if requests are held
	}{
		{"long enough for a token", slow, time.Minute, ""},
		{"no limits", nil, time.Second, "1s without Limits, so that no request is held: want Limits too"},
		{"too short", slow, time.Second, "1s is less than a token takes to come, so that no request is held: want at least 1m0s"},
		{
			"too large a bucket",
			[]pace.Limit{{Count: 1, Period: pace.MaxFill}},
			pace.MaxFill,
			"876000h0m0s: a bucket with the tokens that flow in meanwhile takes more than 100 years to fill: want a smaller burst",
		},
	} {
		err := pace.CheckWait(row.limits, row.wait)
		if row.want == "" {
			assert.NoError(t, err, row.name)
			continue
		}
		assert.EqualError(t, err, row.want, row.name)
	}
}
