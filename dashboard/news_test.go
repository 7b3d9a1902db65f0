package dashboard

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"runtime"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit"
)

func TestRisingIsMoreThanTwiceAsOftenAsBefore(t *testing.T) {
	var r rising
	now := int64(time.Hour)
	window := func(times int) (at []int) { // when it rises in a window
		for i := range times {
			if r.add(now) {
				at = append(at, 1+i)
			}
		}
		now += int64(newsWindow)
		return at
	}
	assert.Equal(t, []int{1}, window(3), "the first")
	assert.Empty(t, window(6))
	assert.Empty(t, window(6), "as often")
	assert.Empty(t, window(1))
	assert.Empty(t, window(12), "one window was calm, but not the one before")
	assert.Equal(t, []int{25}, window(100), "once in a window")
	for range 5 {
		assert.Empty(t, window(100))
	}
	for range 20 {
		assert.Empty(t, window(10), "it falls")
	}
	assert.NotEmpty(t, window(100), "an hour of many is forgotten after seconds of few")
	now += int64(newsQuiet) - int64(newsWindow)
	assert.Equal(t, []int{1}, window(1), "after quiet")
}

// Several news of a kind may come at once, and on average one in two seconds.
func TestNewsAreBounded(t *testing.T) {
	n, now := new(news), time.Unix(1_000_000, 0)
	told := func(rule string) bool {
		wake := n.next()
		n.tell(denialNews, rule, now)
		n.deliver(now)
		select {
		case <-wake:
			return true
		default:
			return false
		}
	}
	count := func() (delivered int) {
		for i := range 100 {
			if told(fmt.Sprint("rule ", now, i)) {
				delivered++
			}
		}
		return delivered
	}
	assert.Equal(t, newsBurst, count())
	now = now.Add(newsPause - 1)
	assert.Zero(t, count())
	now = now.Add(1)
	assert.Equal(t, 1, count())
	now = now.Add(time.Hour)
	assert.Equal(t, newsBurst, count())
	wake := n.next()
	n.tell(nearNews, "another kind", now)
	n.deliver(now)
	_, open := <-wake
	assert.False(t, open)
	for range 99 { // one request, however many rules tell of it
		n.tell(dryRunNews, fmt.Sprint(rand.Int()), now)
	}
	for range newsBurst {
		n.tell(dryRunNews, fmt.Sprint(rand.Int()), now)
		wake = n.next()
		n.deliver(now)
		_, open = <-wake
		assert.False(t, open)
	}
}

// What happens, under which rule, is each news of its own.
func TestNewsByTopic(t *testing.T) {
	n, now := new(news), time.Unix(1_000_000, 0)
	for _, topic := range []topic{{"a", nearNews}, {"a", dryRunNews}, {"a", denialNews}, {"b", denialNews}} {
		wake := n.next()
		n.tell(topic.kind, topic.rule, now)
		select {
		case <-wake:
			assert.Fail(t, "the request has not told everything yet")
		default:
		}
		n.tell(topic.kind, topic.rule, now)
		n.deliver(now)
		select {
		case <-wake:
		default:
			assert.Fail(t, "no news", "%v", topic)
		}
	}
}

func TestNewsOfManyRulesIsBounded(t *testing.T) {
	n := new(news)
	for i := range 3 * maxNews {
		n.tell(denialNews, fmt.Sprint(i), time.Unix(1_000_000, 0))
	}
	kept := 0
	n.rates.Range(func(any, any) bool { kept++; return true })
	assert.LessOrEqual(t, kept, maxNews)
}

// An open page goes before requests that also wait for a processor. The scheduler lets another
// goroutine go first in one of 61 cases.
func TestNewsGoFirst(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	var over atomic.Bool
	defer over.Store(true)
	go func() {
		for !over.Load() { // a request that computes
		}
	}()
	const tries = 8
	first := 0
	for range tries {
		n := new(news)
		var seen atomic.Bool
		wake := n.next()
		go func() { <-wake; seen.Store(true) }()
		for range 3 {
			runtime.Gosched() // until the page waits
		}
		n.tell(denialNews, "r", time.Now())
		n.deliver(time.Now())
		if seen.Load() {
			first++
		}
	}
	assert.Greater(t, first, tries/2)
}

// shown is what a stream has sent, and when.
type shown struct {
	after time.Duration
	html  string
}

// An open page shows what begins at the same instant, also if something else began just before.
func TestOpenPageShowsAnAttackAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLimiter(t, ratelimit.Rule{
			Name: "trial", Limits: ratelimit.MustParse("2 per hour"), Mode: ratelimit.DryRun, Key: ratelimit.Global("all"),
		})
		p := newPage(t, l, Config{})
		ctx, leave := context.WithCancel(t.Context())
		start := time.Now()
		messages := make(chan shown, 100)
		r := httptest.NewRequest(http.MethodGet, "/events", nil).WithContext(ctx)
		go p.follow(r, false, func(now time.Time) error {
			html := p.frame(now, false).html
			messages <- shown{time.Since(start), string(html["near"] + html["dryrun"] + html["denied"])}
			return nil
		})
		sent := func(n int) (last shown) {
			t.Helper()
			synctest.Wait()
			require.Len(t, messages, n)
			for range n {
				last = <-messages
			}
			return last
		}
		time.Sleep(3 * time.Second)
		sent(4) // at once, and once per second
		h := l.Handler(ok)
		request(h, "mallory", 1)
		sent(0)
		request(h, "mallory", 1) // the last token of the trial
		got := sent(1)
		assert.Contains(t, got.html, `data-key="trial global:all"`)
		assert.Contains(t, got.html, "No rule in dry-run mode would have denied")
		time.Sleep(time.Microsecond) // so short that no message of a second comes between
		request(h, "mallory", 1)     // one too many for the trial, and the last token of per-user
		got = sent(1)
		assert.Equal(t, time.Since(start), got.after)
		assert.Contains(t, got.html, `data-key="trial global:all"`)
		assert.Contains(t, got.html, `data-key="per-user user:mallory"`)
		assert.Contains(t, got.html, "No request was denied")

		time.Sleep(time.Microsecond) // so short that no message of a second comes between
		require.Equal(t, 429, request(h, "mallory", 1))
		got = sent(1)
		assert.Equal(t, time.Since(start), got.after)
		assert.NotContains(t, got.html, "No request was denied")

		request(h, "mallory", 5)
		sent(0) // it rises once
		time.Sleep(2 * time.Second)
		sent(2) // the message of each second goes on
		leave()
		synctest.Wait()
	})
}
