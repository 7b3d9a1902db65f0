package dashboard

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// The turns of a round. The service has no open page in two of them, so that their ratio shows the
// noise of the machine.
const (
	without = iota
	control
	with
	turns
)

// turnTime is the length of a turn. Turns are short, so that other programs on the machine disturb
// all turns of a round alike.
const turnTime = time.Second

// figure is what one turn has measured.
type figure struct {
	p50, p99 float64 // in milliseconds
	cpu      float64 // processor time of the service and of its clients per request, in microseconds
}

// measure sends requests for a turn.
func measure(tb testing.TB, url string) figure {
	tb.Helper()
	before := processorTime(tb)
	times := load(tb, url, turnTime)
	used := processorTime(tb) - before
	at := func(share float64) float64 {
		return float64(times[int(share*float64(len(times)))].Nanoseconds()) / 1e6
	}
	return figure{at(0.5), at(0.99), float64(used.Microseconds()) / float64(len(times))}
}

// processorTime returns how long this process has used processors, in programs and in the kernel.
func processorTime(tb testing.TB) time.Duration {
	tb.Helper()
	var u syscall.Rusage
	require.NoError(tb, syscall.Getrusage(syscall.RUSAGE_SELF, &u))
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkOpenPages compares the times of a service of 200 rules and 10,000 users with 50 open
// pages and without, on one service, in many short turns in random order. Each round has a turn
// with pages and two without. It reports the median over all rounds of the ratio of two turns, and
// in what range the true median is with a probability of 95 %. The ratio of both turns without
// pages is the control. Another process reads the pages, on the same machine.
func BenchmarkOpenPages(b *testing.B) {
	service, page := costService(b)
	pages := startReaders(b, page.URL)
	load(b, service.URL, 2*time.Second)
	var all [turns][]figure
	b.ResetTimer()
	for range b.N {
		var round [turns]figure
		for _, turn := range rand.Perm(turns) {
			if turn == with {
				pages.do("open")
				time.Sleep(time.Second) // the first messages are the longest, and come once
			}
			round[turn] = measure(b, service.URL)
			if turn == with {
				pages.do("close")
			}
		}
		for turn := range turns {
			all[turn] = append(all[turn], round[turn])
		}
	}
	b.StopTimer()
	text := ""
	for _, of := range []struct {
		name string
		of   func(figure) float64
	}{
		{"p50", func(f figure) float64 { return f.p50 }},
		{"p99", func(f figure) float64 { return f.p99 }},
		{"cpu", func(f figure) float64 { return f.cpu }},
	} {
		for turn, name := range []string{with: "pages", control: "control"} {
			if name == "" {
				continue
			}
			ratios := make([]float64, b.N)
			for i := range ratios {
				ratios[i] = of.of(all[turn][i]) / of.of(all[without][i])
			}
			low, middle, high := median(ratios)
			b.ReportMetric(middle, of.name+"-ratio-"+name)
			text += fmt.Sprintf("%s %s %.3f (%.3f to %.3f); ", of.name, name, middle, low, high)
		}
	}
	var p99 []float64
	for _, f := range all[without] {
		p99 = append(p99, f.p99)
	}
	_, middle, _ := median(p99)
	b.ReportMetric(middle, "ms-p99-without")
	b.Logf("%d rounds: %s", b.N, strings.TrimSuffix(text, "; "))
}

// median returns the median of list, and the range in which the true median is with a probability
// of at least 95 %: between two of the sorted values, by the binomial distribution.
func median(list []float64) (low, middle, high float64) {
	list = slices.Sorted(slices.Values(list))
	n := len(list)
	probability, sum, k := 1.0, 0.0, 0 // of k values below the true median
	for range n {
		probability /= 2
	}
	for k < n/2 && sum+probability <= 0.025 {
		sum += probability
		probability *= float64(n-k) / float64(k+1)
		k++
	}
	first := max(k-1, 0)
	return list[first], (list[(n-1)/2] + list[n/2]) / 2, list[n-1-first]
}

func TestMedianHasARange(t *testing.T) {
	var list []float64
	for i := range 20 {
		list = append(list, float64(20-i))
	}
	low, middle, high := median(list)
	require.Equal(t, "6 10.5 15", fmt.Sprint(low, " ", middle, " ", high), "the 6th to the 15th of 20: 95.9 %")
}
