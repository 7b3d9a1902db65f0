package ratelimit_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit"
	"github.com/ratelimit-go/ratelimit/internal/pace"
	"github.com/ratelimit-go/ratelimit/internal/testsize"
	"github.com/ratelimit-go/ratelimit/store"
)

// policies returns each policy of one or two of some limits.
func policies() (texts []string) {
	limits := []string{
		"5 per second", "10 per second", "20 per 10 seconds", "50 per minute", "100 per minute burst 20",
		"100 per minute", "300 per minute", "100 per hour", "500 per hour", "3000 per hour", "1000 per day",
	}
	for i, a := range limits {
		texts = append(texts, a)
		for _, b := range limits[i+1:] {
			texts = append(texts, a+"; "+b)
		}
	}
	return texts
}

// Any two versions of a policy allow at most as much at one instant as one of them alone.
// They ask by turns, or one until it denies and then the other.
func TestVersionsAllowNoMoreAtOnce(t *testing.T) {
	texts := policies()
	versions, alone := map[string][]*store.Limit{}, map[string]int{}
	for _, text := range texts {
		var limits []pace.Limit
		for _, l := range ratelimit.MustParse(text) {
			limits = append(limits, pace.Limit{Count: l.Count, Period: l.Period, Burst: l.Burst})
		}
		versions[text] = compiled(t, limits)
		alone[text] = inOneInstant(t, 1, versions[text])
	}
	step := testsize.Of(1, 61) // pairs; it has no factor in common with how many there are
	for n := 0; n < len(texts)*len(texts); n += step {
		a, b := texts[n/len(texts)], texts[n%len(texts)]
		for _, turn := range []int{1, 3, 5000} {
			require.LessOrEqual(t, inOneInstant(t, turn, versions[a], versions[b]), max(alone[a], alone[b]),
				"%s, and %s, %d in a row", a, b, turn)
		}
	}
}

// inOneInstant returns how many requests of one client versions allow together at one instant.
// They ask by turns, each for so many in a row.
func inOneInstant(t *testing.T, turn int, versions ...[]*store.Limit) (n int) {
	now := time.Unix(0, 0)
	s := ratelimit.NewMemoryStore(ratelimit.MemoryConfig{Clock: func() time.Time { return now }})
	for before := -1; n > before; {
		before = n
		for _, version := range versions {
			for range turn {
				ops := charged(version)
				require.NoError(t, s.Apply(t.Context(), ops))
				if !allowed(ops) {
					break
				}
				n++
			}
		}
	}
	return n
}

// A longer list of what changes in practice. Each pair shares a key after it was idle, again and
// again, and is bounded at each of these instants.
func TestVersionsAllowNoMoreAfterAPause(t *testing.T) {
	for _, row := range []string{
		"100 per minute | 300 per minute; 3000 per hour",
		"50 per minute; 3000 per hour | 100 per minute; 3000 per hour",
		"5 per second; 100 per hour | 50 per 10 seconds; 100 per hour",
		"10 per second; 1000 per hour | 100 per minute; 1000 per hour",
		"5 per second; 50 per minute; 500 per hour | 10 per second; 300 per 5 minutes; 500 per hour",
		"20 per 10 seconds; 100 per minute; 1000 per day | 100 per minute; 500 per 2 hours; 1000 per day",
		"60 per minute | 1 per second burst 5; 600 per hour",
	} {
		a, b, _ := strings.Cut(row, " | ")
		first, second := ratelimit.MustParse(a), ratelimit.MustParse(b)
		now := time.Unix(0, 0)
		clock := ratelimit.MemoryConfig{Clock: func() time.Time { return now }}
		fleet := ratelimit.NewMemoryStore(clock)
		take := func(s *ratelimit.MemoryStore, limits ratelimit.Limits) bool {
			l := newLimiter(t, ratelimit.Config{Store: s, Rules: []ratelimit.Rule{{Name: "r", Limits: limits}}})
			d, err := l.Take(t.Context(), "r", ratelimit.UserKey("a"), 1)
			require.NoError(t, err)
			return d.Allowed
		}
		for _, pause := range []time.Duration{0, 90 * time.Second, 30 * time.Minute, 26 * time.Hour, 48 * time.Hour} {
			now = now.Add(pause)
			alone := func(limits ratelimit.Limits) (n int) {
				s := ratelimit.NewMemoryStore(clock)
				for take(s, limits) {
					n++
				}
				return n
			}
			most, together := max(alone(first), alone(second)), 0
			for before := -1; together > before; {
				before = together
				for _, limits := range []ratelimit.Limits{first, second} {
					for range 7 {
						if take(fleet, limits) {
							together++
						}
					}
				}
			}
			require.LessOrEqual(t, together, most, "%s, after %v", row, pause)
		}
	}
}
