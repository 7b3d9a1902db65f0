package dashboard

import (
	"bufio"
	"context"
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
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit"
	"github.com/ratelimit-go/ratelimit/dashboard"
)

const (
	costRules = 200
	costKeys  = 10_000
	costPages = 50
	clients   = 12 // they use a third of two processors, together with the service
)

// costService is a service of 200 rules, with its page.
func costService(tb testing.TB) (service, page *httptest.Server) {
	tb.Helper()
	routes := map[string][]ratelimit.Rule{}
	for i := range costRules {
		routes[fmt.Sprintf("GET /r%d", i)] = []ratelimit.Rule{{
			Name: fmt.Sprintf("route-%d", i), Limits: ratelimit.MustParse("60 per minute"),
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

// readers is another process that reads open pages.
type readers struct {
	tb    testing.TB
	tell  io.WriteCloser
	hear  *bufio.Reader
	ended func() error
}

// startReaders starts the process, with the lowest priority, because browsers read pages on other
// machines. It opens no page yet.
func startReaders(tb testing.TB, url string) *readers {
	tb.Helper()
	c := exec.Command("nice", "-n", "19", os.Args[0])
	c.Env = append(os.Environ(), readPages+"="+url)
	c.Stderr = os.Stderr
	in, err := c.StdinPipe()
	require.NoError(tb, err)
	out, err := c.StdoutPipe()
	require.NoError(tb, err)
	require.NoError(tb, c.Start())
	r := &readers{tb, in, bufio.NewReader(out), c.Wait}
	tb.Cleanup(func() { _ = in.Close(); _ = r.ended() })
	return r
}

// do opens or closes all pages, and returns when that is done.
func (r *readers) do(what string) {
	r.tb.Helper()
	_, err := io.WriteString(r.tell, what+"\n")
	require.NoError(r.tb, err)
	answer, err := r.hear.ReadString('\n')
	require.NoError(r.tb, err)
	require.Equal(r.tb, what+"\n", answer)
}

// readPages is the variable of the environment that makes a process of this test read pages.
const readPages = "READ_PAGES"

// readAll opens and closes pages as the standard input says, until that ends.
func readAll(url string) error {
	var group sync.WaitGroup
	stop := func() {}
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		switch lines.Text() {
		case "open":
			ctx, cancel := context.WithCancel(context.Background())
			stop = cancel
			if err := readSome(ctx, url, &group); err != nil {
				return err
			}
		case "close":
			stop()
			group.Wait()
		}
		fmt.Println(lines.Text())
	}
	stop()
	return lines.Err()
}

// readSome opens costPages pages, each with a connection of its own, and reads them until ctx ends.
func readSome(ctx context.Context, url string, group *sync.WaitGroup) error {
	for range costPages {
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, url+"/events", nil)
		if err != nil {
			return err
		}
		res, err := http.DefaultClient.Do(r)
		if err != nil {
			return err
		}
		if res.StatusCode != http.StatusOK {
			return errors.New(res.Status)
		}
		group.Go(func() { _, _ = io.Copy(io.Discard, res.Body); _ = res.Body.Close() })
	}
	return nil
}

// sent is how many requests load has sent, so that each turn goes on with other users and routes.
var sent atomic.Int64

// load sends requests of many users for the time d and returns their times. None
// of them may be denied, because that takes less time.
func load(tb testing.TB, url string, d time.Duration) []time.Duration {
	tb.Helper()
	var mu sync.Mutex
	var all []time.Duration
	var group sync.WaitGroup
	for range clients {
		group.Go(func() {
			var times []time.Duration
			for start := time.Now(); time.Since(start) < d; time.Sleep(time.Millisecond) {
				n := sent.Add(1)
				r, _ := http.NewRequest(http.MethodGet, fmt.Sprintf("%s/r%d", url, n%costRules), nil)
				r.Header.Set("User", fmt.Sprint("user-", n*7919%costKeys))
				begin := time.Now()
				res, err := http.DefaultClient.Do(r)
				if !assert.NoError(tb, err) || !assert.Equal(tb, http.StatusNoContent, res.StatusCode) {
					return
				}
				_, _ = io.Copy(io.Discard, res.Body)
				_ = res.Body.Close()
				times = append(times, time.Since(begin))
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
