package dashboard

import (
	"fmt"
	"testing"
	"time"

	"github.com/ratelimit-go/ratelimit"
)

// BenchmarkFrame renders a page of 200 busy rules and 10,000 keys, as all open pages together need
// it once per second. It reports the sizes of messages.
func BenchmarkFrame(b *testing.B) {
	var rules []ratelimit.Rule
	for i := range 200 {
		rules = append(rules, ratelimit.Rule{Name: fmt.Sprint("rule-", i), Limits: ratelimit.MustParse("20 per minute")})
	}
	l, err := ratelimit.New(ratelimit.Config{Rules: rules})
	if err != nil {
		b.Fatal(err)
	}
	p, err := New(l, Config{Authorize: everyone})
	if err != nil {
		b.Fatal(err)
	}
	defer p.Close()
	count := func(n int) {
		for i := range n {
			_, _ = l.Take(b.Context(), rules[i%200].Name, ratelimit.UserKey(fmt.Sprint("user-", i%10_000%(1+i%300))), 1)
		}
	}
	count(50_000)
	at := time.Now()
	b.ReportAllocs()
	b.ResetTimer()
	var f *frame
	for range b.N {
		b.StopTimer()
		count(1000)
		b.StartTimer()
		at = at.Add(frameTime)
		f = p.frame(at, false)
	}
	b.ReportMetric(float64(len(f.full))/1024, "KB-full")
	b.ReportMetric(float64(len(f.delta))/1024, "KB-delta")
}
