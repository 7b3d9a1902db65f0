package topk

import (
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit/internal/testsize"
)

// hash spreads the numbers that these tests use as keys (the finalizer of SplitMix64).
func hash(k int) uint64 {
	x := uint64(k) + 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// zipf counts n keys out of 100,000 by s, and returns the exact counts.
func zipf(seed uint64, n int, s *Sketch[int]) map[int]int64 {
	exact := map[int]int64{}
	z := rand.NewZipf(rand.New(rand.NewPCG(seed, 1)), 1.1, 1, 99_999)
	for range n {
		k := int(z.Uint64())
		exact[k]++
		s.Add(k, 0)
	}
	return exact
}

// most returns the n most frequent keys.
func most(exact map[int]int64, n int) []int {
	var keys []int
	for k := range exact {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, func(a, b int) int { return int(exact[b] - exact[a]) })
	return keys[:n]
}

// The 20 keys that a Sketch of 1,000 counters reports are among the 25 most frequent ones of
// 100,000 keys that follow the law of Zipf, and each true count is within the bounds.
func TestTopOfManyKeys(t *testing.T) {
	for seed := range uint64(testsize.Of(3, 1)) {
		s := New(1000, hash)
		exact := zipf(seed, 400_000, s)
		want, inside := most(exact, 25), 0
		worst := int64(0)
		for _, c := range s.Top(20) {
			if slices.Contains(want, c.Key) {
				inside++
			}
			worst = max(worst, c.Error)
			assert.GreaterOrEqual(t, c.N, exact[c.Key], "key %d", c.Key)
			assert.LessOrEqual(t, c.Least(), exact[c.Key], "key %d", c.Key)
		}
		assert.Equal(t, 20, inside, "of 20, seed %d", seed)
		t.Logf("seed %d: %d of 20 in the exact top 25, worst error %d of 400,000", seed, inside, worst)
	}
}

// All counts of a Sketch are within their bounds, also of keys that have no counter.
func TestBoundsOfEveryKey(t *testing.T) {
	s := New(80, hash)
	for k, n := range zipf(7, 50_000, s) {
		c := s.Find(k)
		require.GreaterOrEqual(t, c.N, n, "key %d", k)
		require.LessOrEqual(t, c.Least(), n, "key %d", k)
	}
	assert.Len(t, s.Top(1000), 80)
}

func TestFewKeysAreCountedExactly(t *testing.T) {
	s := New(1000, hash)
	for k := range 50 {
		for range 50 - k {
			s.Add(k, int64(100*k))
		}
	}
	got := s.Top(3)
	assert.Equal(t, []Count[int]{{0, 50, 0, 0}, {1, 49, 0, 100}, {2, 48, 0, 200}}, got)
	assert.Equal(t, Count[int]{Key: 99}, s.Find(99))
}

// Who keeps something for each key learns which key has lost its counter.
func TestAddTellsTheKeyThatIsDropped(t *testing.T) {
	s := New(80, hash)
	kept := map[int]bool{}
	for k := range 1000 {
		for range 1 + k%3 {
			if dropped, ok := s.Add(k, 0); ok {
				require.True(t, kept[dropped])
				delete(kept, dropped)
			}
			kept[k] = true
		}
	}
	want := map[int]bool{}
	for _, c := range s.Top(1000) {
		want[c.Key] = true
	}
	assert.Equal(t, want, kept)
	assert.Len(t, kept, 80)
}

func TestCallsAtTheSameTime(t *testing.T) {
	s := New(1000, hash)
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			for k := range 1000 {
				s.Add(k%100, 0)
				_ = s.Find(k)
			}
			_ = s.Top(10)
		})
	}
	group.Wait()
	sum := int64(0)
	for _, c := range s.Top(1000) {
		sum += c.N
	}
	assert.Equal(t, int64(8000), sum)
}

func TestWindowForgets(t *testing.T) {
	start := time.Unix(1_000_000, 0)
	w := NewWindow(100, time.Minute, hash)
	w.Add(1, 0, start)
	w.Add(1, 0, start.Add(50*time.Second))
	w.Add(2, 0, start.Add(70*time.Second))
	w.Add(1, 9, start.Add(80*time.Second))

	got, from := w.Top(5, start.Add(90*time.Second))
	assert.Equal(t, []Count[int]{{1, 3, 0, 9}, {2, 1, 0, 0}}, got)
	assert.Equal(t, start, from)

	got, from = w.Top(5, start.Add(140*time.Second))
	assert.Equal(t, []Count[int]{{2, 1, 0, 0}, {1, 1, 0, 9}}, slices.SortedFunc(slices.Values(got),
		func(a, b Count[int]) int { return b.Key - a.Key }), "the first span is forgotten")
	assert.Equal(t, start.Add(70*time.Second), from)

	got, _ = w.Top(5, start.Add(time.Hour))
	assert.Empty(t, got)
}

// A key that has a counter in one span only gets the uncertainty of the other span.
func TestWindowKeepsBounds(t *testing.T) {
	start := time.Unix(1_000_000, 0)
	w := NewWindow(80, time.Minute, hash)
	exact := map[int]int64{}
	rnd := rand.New(rand.NewPCG(3, 4))
	z := rand.NewZipf(rnd, 1.2, 1, 9999)
	for i := range 40_000 {
		k := int(z.Uint64())
		exact[k]++
		w.Add(k, 0, start.Add(time.Duration(i)*2900*time.Microsecond))
	}
	got, from := w.Top(1000, start.Add(116*time.Second))
	require.Equal(t, start, from, "both spans are shown")
	for _, c := range got {
		require.GreaterOrEqual(t, c.N, exact[c.Key], "key %d", c.Key)
		require.LessOrEqual(t, c.Least(), exact[c.Key], "key %d", c.Key)
	}
}

func BenchmarkAdd(b *testing.B) {
	s := New(1000, hash)
	b.RunParallel(func(pb *testing.PB) {
		z := rand.NewZipf(rand.New(rand.NewPCG(1, 1)), 1.1, 1, 99_999)
		keys := make([]int, 4096)
		for i := range keys {
			keys[i] = int(z.Uint64())
		}
		for i := 0; pb.Next(); i++ {
			s.Add(keys[i%len(keys)], 0)
		}
	})
}
