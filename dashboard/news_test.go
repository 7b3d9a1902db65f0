package dashboard

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestNewsIsWhatComesAfterQuiet(t *testing.T) {
	n, now := new(news), time.Unix(1_000_000, 0)
	told := func(rule string, after time.Duration) bool {
		wake := n.next()
		now = now.Add(after)
		n.tell(rule, now)
		select {
		case <-wake:
			return true
		default:
			return false
		}
	}
	assert.True(t, told("a", 0), "the first")
	for range 20 {
		assert.False(t, told("a", newsQuiet-time.Second))
	}
	assert.True(t, told("b", 0), "another rule")
	assert.False(t, told("c", newsPause-1), "too soon")
	assert.True(t, told("d", 1))
	assert.True(t, told("a", newsQuiet))
}

func TestNewsOfManyRulesIsBounded(t *testing.T) {
	n := new(news)
	for i := range 3 * maxNews {
		n.tell(fmt.Sprint(i), time.Unix(1_000_000, 0))
	}
	kept := 0
	n.last.Range(func(any, any) bool { kept++; return true })
	assert.LessOrEqual(t, kept, maxNews)
}

func TestNewsMakesAMessageEarlyAndTheNextComesByTheTick(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := new(news)
		p := newPace(n)
		defer p.tick.Stop()
		start := time.Now()
		wait := func() time.Duration {
			now, ok := p.wait(nil, nil)
			require.True(t, ok)
			took := now.Sub(start)
			start = now
			return took
		}
		wait() // at random
		n.tell("a", time.Now())
		assert.LessOrEqual(t, wait(), wakeTime)
		n.at.Store(0)
		n.tell("b", time.Now())
		assert.Equal(t, tickTime, wait())
		n.at.Store(0)
		n.tell("c", time.Now())
		assert.LessOrEqual(t, wait(), wakeTime)
		assert.Equal(t, tickTime, wait())
		assert.Equal(t, tickTime, wait())

		done := make(chan struct{})
		close(done)
		_, ok := p.wait(nil, done)
		assert.False(t, ok)
	})
}

func TestPageShowsNewsBeforeTheNextTick(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLimiter(t)
		p := newPage(t, l, Config{})
		f := p.frame(time.Now(), false)
		time.Sleep(wakeTime)
		assert.Same(t, f, p.frame(time.Now(), false), "nothing has happened")
		request(l.Handler(ok), "mallory", 9)
		assert.Contains(t, string(p.frame(time.Now(), false).html["denied"]), "user:mallory")
	})
}
