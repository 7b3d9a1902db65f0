package guard

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit/stats"
	"github.com/ratelimit-go/ratelimit/store"
)

// requireStats compares all but the times of calls, of which there is one for each call.
func requireStats(t *testing.T, want, got stats.Store) {
	t.Helper()
	calls := want.Answered
	for reason, n := range want.Failures {
		if reason != store.ReasonDown {
			calls += n
		}
	}
	require.Equal(t, calls, got.Calls.Count)
	got.Calls = stats.Durations{}
	require.Equal(t, want, got)
}

func TestStats(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newMortal()
		var changes []store.State
		g := New(s, Config{OnState: func(_ context.Context, s store.State) { changes = append(changes, s) }})
		apply := func(rule string) {
			_ = g.Apply(t.Context(), []store.Op{take(newLimit(t, rule, 0, 1, time.Second, 0), user("a"), 1)})
		}
		for range 3 {
			apply("open")
		}
		want := stats.Store{
			State: store.Up, Answered: 2, CachedDenials: 1,
			Failures: map[store.Reason]int64{}, Changes: map[store.State]int64{},
		}
		requireStats(t, want, g.Stats())

		s.Dead.Store(true)
		for range 3 {
			apply("memory")
			apply("closed")
		}
		want.Failures[store.ReasonOther], want.Failures[store.ReasonDown] = 5, 1
		want.State, want.Changes[store.Down] = store.Down, 1
		requireStats(t, want, g.Stats())

		s.Dead.Store(false)
		time.Sleep(time.Second)
		apply("open")
		assert.Equal(t, store.Recovering, g.Stats().State)
		time.Sleep(time.Second)
		apply("open")
		time.Sleep(time.Second)
		apply("open")
		got := g.Stats()
		assert.Equal(t, store.Up, got.State)
		assert.Equal(t, map[store.State]int64{store.Down: 1, store.Recovering: 1, store.Up: 1}, got.Changes)
		assert.Equal(t, []store.State{store.Down, store.Recovering, store.Up}, changes)
		failed := got.Failures[store.ReasonOther] + got.Failures[store.ReasonDown]
		assert.EqualValues(t, 12, got.Answered+got.CachedDenials+failed, "every call is counted once")
	})
}
