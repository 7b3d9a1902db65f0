package turns

import (
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/ratelimit-go/ratelimit/internal/key"
	"github.com/ratelimit-go/ratelimit/internal/pace"
)

var (
	start = time.Unix(946684800, 0)
	all   = key.Text(key.User, "all")
)

func TestTurnsFollowEachOther(t *testing.T) {
	b := New()
	turn := func(after, least time.Duration) time.Duration {
		return b.Turn("r", all, start.Add(after), least, time.Second, time.Minute)
	}
	assert.Equal(t, 300*time.Millisecond, turn(0, 300*time.Millisecond), "the first client waits no longer than it must")
	assert.Equal(t, 1300*time.Millisecond, turn(0, 300*time.Millisecond))
	assert.Equal(t, 2300*time.Millisecond, turn(0, 300*time.Millisecond))
	assert.Equal(t, 2300*time.Millisecond, turn(time.Second, 300*time.Millisecond), "a second later the queue is a second shorter")
	assert.Equal(t, 300*time.Millisecond, turn(10*time.Second, 300*time.Millisecond), "all turns are over")
	assert.Equal(t, time.Hour, turn(10*time.Second, time.Hour), "never less than the least wait")
	assert.Equal(t, time.Hour+time.Second, turn(10*time.Second, time.Hour))
}

func TestTurnsBeginAgainAtTheBound(t *testing.T) {
	b := New()
	told := map[time.Duration]int{}
	for range 3 * 61 {
		told[b.Turn("r", all, start, time.Second, time.Second, time.Minute)]++
	}
	assert.Len(t, told, 61)
	for wait, n := range told {
		assert.Equal(t, 3, n, "%v", wait)
		assert.GreaterOrEqual(t, wait, time.Second)
		assert.LessOrEqual(t, wait, 61*time.Second)
	}
}

func TestSlowBucketsSpreadToo(t *testing.T) {
	b := New()
	var told []time.Duration
	for range 18 {
		told = append(told, b.Turn("r", all, start, time.Hour, 24*time.Hour, 16*time.Minute))
	}
	for i, wait := range told[:17] {
		assert.Equal(t, time.Hour+time.Duration(i)*time.Minute, wait)
	}
	assert.Equal(t, time.Hour, told[17])
}

func TestWaitsOfNoBucketStay(t *testing.T) {
	b := New()
	for range 2 {
		assert.Equal(t, time.Duration(math.MaxInt64), b.Turn("r", all, start, math.MaxInt64, time.Second, time.Minute))
	}
}

func TestSpread(t *testing.T) {
	for fill, want := range map[time.Duration]time.Duration{
		0: time.Minute, time.Second: time.Minute, 5 * time.Minute: 5 * time.Minute, 24 * time.Hour: time.Hour,
	} {
		assert.Equal(t, want, Spread(fill), "%v", fill)
	}
}

// Clocks may be set back, and costs may be 0: the bounds hold anyway.
func TestTurnsKeepTheirBounds(t *testing.T) {
	b := New()
	rnd := rand.New(rand.NewPCG(1, 2))
	for range 100_000 {
		now := start.Add(time.Duration(rnd.Int64N(int64(48*time.Hour))) - 24*time.Hour)
		least := time.Duration(rnd.Int64N(int64(time.Hour)))
		step := time.Duration(rnd.Int64N(int64(time.Minute))) - time.Second
		spread := Spread(time.Duration(rnd.Int64N(int64(2 * time.Hour))))
		wait := b.Turn("r", all, now, least, step, spread)
		if wait < least || wait > least+spread {
			t.Fatalf("%v, %v to %v", wait, least, least+spread)
		}
	}
}

// Clients that are denied at the same moment on several goroutines have one turn each.
func TestTurnsOfManyGoroutines(t *testing.T) {
	b := New()
	told := make([]time.Duration, 400)
	var running sync.WaitGroup
	for g := range 8 {
		running.Go(func() {
			for i := range 50 {
				told[50*g+i] = b.Turn("r", all, start, 0, time.Millisecond, time.Minute)
			}
		})
	}
	running.Wait()
	slices.Sort(told)
	for i, wait := range told {
		assert.Equal(t, time.Duration(i)*time.Millisecond, wait)
	}
}

// Two buckets rarely take turns with each other: places are chosen by a random hash.
func TestBucketsHaveTurnsOfTheirOwn(t *testing.T) {
	alone := 0
	for range 20 {
		b := New()
		b.Turn("a", all, start, 0, time.Second, time.Minute)
		for _, other := range []struct {
			rule string
			key  key.Key
		}{{"b", all}, {"a", key.Shared()}} {
			if b.Turn(other.rule, other.key, start, 0, time.Second, time.Minute) == 0 {
				alone++
			}
		}
		assert.Positive(t, b.Turn("a", all, start, 0, time.Second, time.Minute))
	}
	assert.GreaterOrEqual(t, alone, 30)
}

func BenchmarkTurn(b *testing.B) {
	book, now := New(), time.Now()
	b.ReportAllocs()
	for b.Loop() {
		book.Turn("per-client", all, now, time.Second, time.Millisecond, time.Minute)
	}
}

func TestStepsOfDenials(t *testing.T) {
	perSecond := pace.Limit{Count: 10, Period: time.Second}
	for _, tc := range []struct {
		name   string
		denial Denial
		second time.Duration // the wait of the second client
	}{
		{"a limit", Denial{Limit: perSecond, Cost: 1}, 100 * time.Millisecond},
		{"a greater cost", Denial{Limit: perSecond, Cost: 3}, 300 * time.Millisecond},
		{"no cost", Denial{Limit: perSecond}, 100 * time.Millisecond},
		{"several instances", Denial{Limit: perSecond, Cost: 1, Instances: 4}, 400 * time.Millisecond},
		{"a slow limit", Denial{Limit: pace.Limit{Count: 1, Period: 24 * time.Hour}, Cost: 1}, time.Hour / 16},
		{"requests in flight", Denial{Each: 5 * time.Millisecond}, 5 * time.Millisecond},
		{"something else", Denial{}, 10 * time.Millisecond},
		{"a limit that is none", Denial{Limit: pace.Limit{Count: -1, Period: -1}}, 10 * time.Millisecond},
		{"slow requests", Denial{Each: 20 * time.Second, Instances: 2}, 40 * time.Second},
		{"absurd numbers", Denial{Each: math.MaxInt64, Instances: math.MaxInt}, time.Hour / 16},
	} {
		t.Run(tc.name, func(t *testing.T) {
			b := New()
			tc.denial.Wait = time.Second
			assert.Equal(t, time.Second, b.Wait(start, &tc.denial))
			assert.Equal(t, time.Second+tc.second, b.Wait(start, &tc.denial))
		})
	}
}

func TestClientsAreSpreadWhileTheStoreIsAway(t *testing.T) {
	b, told := New(), map[time.Duration]int{}
	for range 600 {
		told[b.Wait(start, &Denial{Wait: time.Second, Away: true})]++
	}
	assert.Equal(t, map[time.Duration]int{time.Second: 200, 2 * time.Second: 200, 3 * time.Second: 200}, told)
}
