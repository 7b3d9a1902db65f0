package dashboard

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit"
	"github.com/ratelimit-go/ratelimit/dashboard"
)

const (
	costRules = 200
	costKeys  = 10_000
	costPages = 50
	frameTime = time.Second // of the page
)

// costService is a service of 200 rules, with its page.
func costService(tb testing.TB) (service, page *httptest.Server) {
	tb.Helper()
	routes := map[string][]ratelimit.Rule{}
	for i := range costRules {
		routes[fmt.Sprintf("GET /r%d", i)] = []ratelimit.Rule{{
			Name: fmt.Sprintf("route-%d", i), Limits: ratelimit.MustParse("20 per minute"),
			Key: ratelimit.ByUser(func(r *http.Request) string { return r.Header.Get("User") }),
		}}
	}
	l, err := ratelimit.New(ratelimit.Config{Routes: routes})
	require.NoError(tb, err)
	p, err := dashboard.New(l, dashboard.Config{Authorize: func(*http.Request) bool { return true }})
	require.NoError(tb, err)
	service = httptest.NewServer(l.Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		time.Sleep(time.Millisecond) // a query
		w.WriteHeader(http.StatusNoContent)
	})))
	page = httptest.NewServer(p)
	tb.Cleanup(func() { p.Close(); service.Close(); page.Close() })
	return service, page
}

// openPages starts another process that opens streams and reads them until stop is called.
func openPages(tb testing.TB, url string) (stop func()) {
	tb.Helper()
	c := exec.Command(os.Args[0])
	c.Env = append(os.Environ(), readPages+"="+url)
	out, err := c.StdoutPipe()
	require.NoError(tb, err)
	require.NoError(tb, c.Start())
	line, err := bufio.NewReader(out).ReadString('\n')
	require.NoError(tb, err)
	require.Equal(tb, "open\n", line)
	return func() { _ = c.Process.Kill(); _ = c.Wait() }
}

// readPages is the variable of the environment that makes a process of this test read pages.
const readPages = "READ_PAGES"

// readAll opens streams and reads them.
func readAll(url string) error {
	var group sync.WaitGroup
	for range costPages {
		res, err := http.Get(url + "/events")
		if err != nil {
			return err
		}
		if res.StatusCode != http.StatusOK {
			return errors.New(res.Status)
		}
		group.Go(func() { _, _ = io.Copy(io.Discard, res.Body); _ = res.Body.Close() })
	}
	fmt.Println("open")
	group.Wait()
	return nil
}

// load sends requests of many users for the time d, from 4 clients, and returns their times.
func load(url string, d time.Duration) []time.Duration {
	var mu sync.Mutex
	var all []time.Duration
	var group sync.WaitGroup
	for c := range 4 {
		group.Go(func() {
			var times []time.Duration
			start := time.Now()
			for i := 0; time.Since(start) < d; i++ {
				n := i*4 + c
				r, _ := http.NewRequest(http.MethodGet, fmt.Sprintf("%s/r%d", url, n%costRules), nil)
				r.Header.Set("User", fmt.Sprint("user-", n*7919%costKeys))
				sent := time.Now()
				res, err := http.DefaultClient.Do(r)
				if err != nil {
					continue
				}
				_, _ = io.Copy(io.Discard, res.Body)
				_ = res.Body.Close()
				times = append(times, time.Since(sent))
				time.Sleep(time.Millisecond)
			}
			mu.Lock()
			defer mu.Unlock()
			all = append(all, times...)
		})
	}
	group.Wait()
	slices.Sort(all)
	return all
}

// BenchmarkOpenPages compares the times of a service of 200 rules and 10,000 users without and with
// 50 open pages, in turns, so that other programs on the machine disturb both alike. It reports
// medians of all turns. Another process reads the pages, on the same machine.
func BenchmarkOpenPages(b *testing.B) {
	service, page := costService(b)
	load(service.URL, 2*time.Second)
	var p50, p99 [2][]float64
	turn := func(i int) {
		times := load(service.URL, 2*time.Second)
		at := func(share float64) float64 {
			return float64(times[int(share*float64(len(times)))].Microseconds()) / 1000
		}
		p50[i], p99[i] = append(p50[i], at(0.5)), append(p99[i], at(0.99))
	}
	b.ResetTimer()
	for range b.N {
		turn(0)
		stop := openPages(b, page.URL)
		time.Sleep(frameTime) // the first messages are the longest, and come once
		turn(1)
		stop()
	}
	for i, name := range []string{"without", "with"} {
		b.ReportMetric(median(p50[i]), "ms-p50-"+name)
		b.ReportMetric(median(p99[i]), "ms-p99-"+name)
	}
	b.ReportMetric(median(p99[1])/median(p99[0]), "p99-ratio")
}

func median(list []float64) float64 {
	slices.Sort(list)
	return list[len(list)/2]
}

// BenchmarkDecision compares a decision without and with a page that observes the limiter.
func BenchmarkDecision(b *testing.B) {
	for _, observed := range []bool{false, true} {
		b.Run(fmt.Sprintf("observed=%v", observed), func(b *testing.B) {
			l, err := ratelimit.New(ratelimit.Config{Rules: []ratelimit.Rule{{
				Name: "r", Limits: ratelimit.MustParse("100000000 per second"),
			}}})
			require.NoError(b, err)
			if observed {
				p, err := dashboard.New(l, dashboard.Config{Authorize: func(*http.Request) bool { return true }})
				require.NoError(b, err)
				defer p.Close()
			}
			h := l.Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(200) }))
			r := httptest.NewRequest(http.MethodGet, "/", strings.NewReader(""))
			b.ReportAllocs()
			for i := range b.N {
				r.RemoteAddr = remotes[i%len(remotes)]
				h.ServeHTTP(httptest.NewRecorder(), r)
			}
		})
	}
}

var remotes = func() (list [4096]string) {
	for i := range list {
		list[i] = fmt.Sprintf("10.0.%d.%d:1000", i/256, i%256)
	}
	return list
}()
