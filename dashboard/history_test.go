package dashboard

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit"
	"github.com/ratelimit-go/ratelimit/stats"
)

// The first decision of a slot takes the sample that closes the slot before, so the history has no
// gaps although no goroutine runs.
func TestHistoryFillsItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLimiter(t)
		p := newPage(t, l, Config{})
		h := l.Handler(ok)
		for range 3 {
			request(h, "bob", 1)
			time.Sleep(slotTime)
		}
		request(h, "bob", 4) // all denied
		time.Sleep(40 * time.Second)
		request(h, "bob", 1)

		v := p.view(now(), false)
		require.Len(t, v.Rules, 1)
		points := p.watch.history.rules["per-user"].ordered(p.watch.history.slot)
		assert.Equal(t, point{denied: 1}, points[slots-1])
		assert.Equal(t, point{}, points[slots-2], "nothing happened then")
		assert.Equal(t, point{denied: 4}, points[slots-9])
		assert.Equal(t, []point{{allowed: 1}, {allowed: 1}}, points[slots-12:slots-10])
		assert.Equal(t, point{allowed: 1, near: 1}, points[slots-10])

		time.Sleep(10 * time.Minute)
		p.sample(now(), nil)
		assert.Equal(t, point{}, p.watch.history.rules["per-user"].sum(p.watch.history.slot, slots))
		assert.Empty(t, p.view(now(), false).Denied.List)
	})
}

func TestRates(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLimiter(t, ratelimit.Rule{Name: "wide", Limits: ratelimit.MustParse("1000 per second")})
		p := newPage(t, l, Config{})
		h := l.Handler(ok)
		for range 200 {
			request(h, "bob", 1)
			time.Sleep(100 * time.Millisecond)
		}
		v := p.view(now(), false)
		assert.Equal(t, "10", v.Sum.Asked)
		assert.Equal(t, "10", v.Sum.Denied)
		assert.Equal(t, "100 %", v.Sum.Share)
		assert.Equal(t, "10", v.Rules[0].Chart.Peak)
	})
}

func TestEventsOfRulesComeOnceInAWhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLimiter(t)
		p := newPage(t, l, Config{})
		for range 30 {
			request(l.Handler(ok), "bob", 5)
			time.Sleep(time.Second)
		}
		p.sample(now(), nil)
		count := func() (n int) {
			for _, e := range p.watch.events.last(maxEvents) {
				if e.text == "the rule denies requests" {
					n += e.times
				}
			}
			return n
		}
		assert.Equal(t, 1, count())
		time.Sleep(2 * time.Minute)
		request(l.Handler(ok), "bob", 5)
		p.sample(now(), nil)
		assert.Equal(t, 2, count())
	})
}

func TestClockThatIsSetBack(t *testing.T) {
	h := new(history)
	start := time.Unix(1_000_000, 0)
	add := func(after time.Duration, allowed int64) {
		h.add(start.Add(after), stats.Snapshot{Rules: []stats.Rule{{Name: "r", Allowed: allowed}}}, point{allowed: allowed})
	}
	add(0, 5)
	add(time.Minute, 9)
	add(-time.Hour, 11)
	add(time.Minute, 3) // the counter began again
	add(2*time.Minute, 4)
	assert.Equal(t, point{allowed: 4 + 2 + 1}, h.rules["r"].sum(h.slot, slots))
}

func TestRulesThatAreGoneAreForgotten(t *testing.T) {
	h := new(history)
	for i := range 5 {
		name := string(rune('a' + i))
		h.add(time.Unix(int64(100*i), 0), stats.Snapshot{Rules: []stats.Rule{{Name: name, Allowed: 1}}}, point{})
	}
	assert.Len(t, h.rules, 1)
}

func TestEventsAreBounded(t *testing.T) {
	var s events
	for i := range 3 * maxEvents {
		s.add(event{text: string(rune('a' + i%2))})
	}
	assert.Len(t, s.last(1000), maxEvents)
	assert.Equal(t, "b", s.last(1)[0].text)
	s.add(event{text: "b"})
	assert.Equal(t, 2, s.last(1)[0].times, "the same again")
}

func TestChart(t *testing.T) {
	points := make([]point, slots)
	assert.Equal(t, chart{Width: 240, Height: 10}, draw(points, 10))
	points[0] = point{allowed: 10, near: 3, dryRun: 2, denied: 10}
	points[59] = point{denied: 1}
	c := draw(points, 20)
	assert.Equal(t, "M0 13h3v7h-3z", c.Calm) // from the bottom, which is at 20, up to 13
	assert.Equal(t, "M0 12h3v1h-3z", c.Near)
	assert.Equal(t, "M0 10h3v2h-3z", c.DryRun)
	assert.Equal(t, "M0 0h3v10h-3zM236 19h3v1h-3z", c.Denied, "also a small number can be seen")
	assert.Equal(t, "4.0", c.Peak)
}

func TestTexts(t *testing.T) {
	for want, got := range map[string]string{
		"0": rate(0), "<0.1": rate(0.01), "9.9": rate(9.9), "10": rate(9.96), "12,346": rate(12345.6),
		"-1,234": number(-1234), "999": number(999), "1,000,000": number(1_000_000),
		"0 s": length(-1), "1 s": length(1), "59 s": length(59 * time.Second), "1 min 1 s": length(61 * time.Second),
		"2 h": length(2 * time.Hour), "3 d 4 h": length(76*time.Hour + 5*time.Minute),
		"–": latency(0), "longer": latency(-1), "≤ 500 µs": latency(500 * time.Microsecond),
		"≤ 2.5 ms": latency(2500 * time.Microsecond), "≤ 1 s": latency(time.Second),
	} {
		assert.Equal(t, want, got)
	}
}

func TestQuantile(t *testing.T) {
	d := stats.Durations{Count: 100, Buckets: []stats.Bucket{{Most: 1, Count: 50}, {Most: 2, Count: 98}}}
	assert.Equal(t, time.Duration(1), quantile(d, 0.5))
	assert.Equal(t, time.Duration(2), quantile(d, 0.9))
	assert.Equal(t, time.Duration(-1), quantile(d, 0.99))
	assert.Zero(t, quantile(stats.Durations{}, 0.5))
}
