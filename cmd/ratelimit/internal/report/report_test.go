package report_test

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit"
	"github.com/ratelimit-go/ratelimit/cmd/ratelimit/internal/accesslog"
	"github.com/ratelimit-go/ratelimit/cmd/ratelimit/internal/replay"
	"github.com/ratelimit-go/ratelimit/cmd/ratelimit/internal/report"
)

var noon = time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)

// add adds a request of a client, after some seconds.
func add(c *report.Collector, second, client int, denied bool) {
	addr := netip.AddrFrom4([4]byte{192, 0, 2, byte(client)})
	e := &accesslog.Entry{
		Time: noon.Add(time.Duration(second) * time.Second), Status: 200,
		File: "a.log", Number: int64(second), Line: strings.Repeat("x", 1000),
	}
	r := replay.Result{Client: ratelimit.AddrKey(addr), Denied: denied}
	r.Decision.Rule = "rule"
	c.Add(e, &r, nil)
}

func TestTimelineIsBounded(t *testing.T) {
	t.Parallel()
	c := report.NewCollector("p", "")
	for i := range 100_000 {
		add(c, i, 1, i%4 == 0)
	}
	line := c.Report(accesslog.Stats{}, nil, 1).Time
	assert.Equal(t, 512*time.Second, line.Width)
	assert.Equal(t, noon, line.Start)
	require.Len(t, line.Slots, 196)
	for _, s := range line.Slots[:195] {
		require.Equal(t, report.Slot{Allowed: 384, Denied: 128}, s)
	}
}

func TestTopListsTheClientsDeniedMost(t *testing.T) {
	t.Parallel()
	c := report.NewCollector("p", "")
	for client := range 250 {
		for i := range 1 + (client*7)%250 {
			add(c, i, client, true)
		}
	}
	var got []string
	for _, one := range c.Report(accesslog.Stats{}, nil, 3).Top {
		got = append(got, fmt.Sprint(one.Client, " ", one.Denied, " ", one.Last.Number, " ", len(one.First.Text)))
	}
	assert.Equal(t, []string{"addr:192.0.2.107 250 249 243", "addr:192.0.2.214 249 248 243", "addr:192.0.2.71 248 247 243"}, got)
	assert.Empty(t, c.Report(accesslog.Stats{}, nil, 0).Top)
}

func TestAnEmptyReportIsPrinted(t *testing.T) {
	t.Parallel()
	r := report.NewCollector("p", "q").Report(accesslog.Stats{}, nil, 3)
	var b strings.Builder
	require.NoError(t, r.WriteText(&b))
	require.NoError(t, r.WriteSVG(&b))
	assert.Contains(t, b.String(), "No requests.")
	asJSON, err := json.Marshal(r)
	require.NoError(t, err)
	assert.NotContains(t, string(asJSON), "null")
	assert.False(t, r.Check(1), "nothing is known")
	b.Reset()
	require.NoError(t, r.WriteText(&b))
	assert.Contains(t, b.String(), "Gate FAILED: there was no request.\n")
}

func TestTheGateIsExact(t *testing.T) {
	t.Parallel()
	c := report.NewCollector("p", "")
	for client := range 200 {
		add(c, 1, client, client < 58)
	}
	r := c.Report(accesslog.Stats{}, nil, 0)
	assert.True(t, r.Check(0.29), "0.29 * 200 is less than 58")
	assert.False(t, r.Check(0.2899))
	assert.Equal(t, &report.GateOutcome{Max: 0.2899, Most: 57}, r.Gate)
	var b strings.Builder
	require.NoError(t, r.WriteText(&b))
	assert.Contains(t, b.String(), "Gate FAILED: 58 of 200 clients denied, at most 57 allowed (28.99 %).\n")
}

func TestOneIsSingular(t *testing.T) {
	t.Parallel()
	c := report.NewCollector("p", "q")
	add(c, 1, 1, true)
	r := c.Report(accesslog.Stats{Lines: 2, Unreadable: 1, WholeSeconds: 1, Late: 1}, nil, 1)
	r.Blocks = 1
	var b strings.Builder
	require.NoError(t, r.WriteText(&b))
	assert.NotRegexp(t, `\b1 \w+s\b|\b1 (\w+ )?are\b`, b.String())
	for _, want := range []string{
		"1 request of 1 client", "p denies 1 request (100.00 %) of 1 client", "1 block began", "1 of 2 lines cannot",
		"1 line is timed in whole seconds", "1 line is out of order", "1 line is without a duration",
	} {
		assert.Contains(t, b.String(), want)
	}
}

func TestRulesOfAClientAreInAnOrder(t *testing.T) {
	t.Parallel()
	c := report.NewCollector("p", "")
	addr := ratelimit.AddrKey(netip.AddrFrom4([4]byte{192, 0, 2, 1}))
	for _, rule := range []string{"c", "b", "d", "a", "b", "e"} {
		r := replay.Result{Client: addr, Denied: true}
		r.Decision.Rule = rule
		c.Add(&accesslog.Entry{Time: noon}, &r, nil)
	}
	var b strings.Builder
	require.NoError(t, c.Report(accesslog.Stats{}, nil, 1).WriteText(&b))
	assert.Contains(t, b.String(), "by b, a, c, d, e\n", "by their denials, and then by name")
}
