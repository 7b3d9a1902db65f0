package outbound_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit/outbound"
)

const url = "http://api.test/"

// A wait of a server holds all requests of its host, and only those.
func TestPause(t *testing.T) {
	date := func(h http.HandlerFunc) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Retry-After", time.Now().Add(10*time.Second).UTC().Format(http.TimeFormat))
			h(w, r)
		}
	}
	for _, tc := range []struct {
		name  string
		first http.HandlerFunc
		want  time.Duration
	}{
		{"429", answer(429, "Retry-After", "10"), 10 * time.Second},
		{"429 with a date", date(answer(429)), 10 * time.Second},
		{"503", answer(503, "Retry-After", "10"), 10 * time.Second},
		{"200", answer(200, "Retry-After", "10"), 10 * time.Second},
		{"302", answer(302, "Retry-After", "10"), 10 * time.Second},
		{"202 says when to ask for the result", answer(202, "Retry-After", "10"), 0},
		{"milliseconds", answer(429, "Retry-After-Ms", "250", "Retry-After", "1"), 250 * time.Millisecond},
		{"429 that tells nothing", answer(429), time.Second},
		{"429 with a reset that is now", answer(429, "RateLimit", `"a";r=0;t=0`), time.Second},
		{"429 with zero", answer(429, "Retry-After", "0"), time.Second},
		{"GitHub, used up until now", answer(403, "X-RateLimit-Remaining", "0", "X-RateLimit-Reset", "946684800"), time.Second},
		{"503 that tells nothing", answer(503), 0},
		{"GitHub's second limit", answer(403, "Retry-After", "60"), time.Minute},
		{
			"GitHub, used up", answer(403, "X-RateLimit-Remaining", "0", "X-RateLimit-Limit", "60", "X-RateLimit-Reset", "946684830"),
			30 * time.Second,
		},
		{"403 for other reasons", answer(403, "X-RateLimit-Remaining", "7", "X-RateLimit-Limit", "60"), 0},
		{"used up", answer(200, "RateLimit", `"a";r=0;t=10`), 10 * time.Second},
		{"one of two used up", answer(200, "RateLimit", `"a";r=5;t=1, "b";r=0;t=10`), 10 * time.Second},
		{"used up, with a window only", answer(200, "RateLimit", `"a";r=0`, "RateLimit-Policy", `"a";q=5;w=10`), 10 * time.Second},
		{"tokens used up", answer(200, "x-ratelimit-remaining-tokens", "0", "x-ratelimit-reset-tokens", "10s"), 10 * time.Second},
		{
			"instant of Anthropic",
			answer(200, "anthropic-ratelimit-requests-remaining", "0", "anthropic-ratelimit-requests-reset", "2000-01-01T00:00:10Z"),
			10 * time.Second,
		},
		{"the longer of two waits", answer(429, "Retry-After", "2", "RateLimit", `"a";r=0;t=10`), 10 * time.Second},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &server{handler: inTurn(tc.first, answer(200))}
				tr := newTransport(t, outbound.Config{Base: s, MaxRetries: -1, MaxWait: time.Hour})
				_, err := get(t, tr, url)
				require.NoError(t, err)
				began := time.Now()
				_, err = get(t, tr, "http://other.test/")
				require.NoError(t, err)
				assert.Zero(t, time.Since(began), "another host")
				var all sync.WaitGroup
				for range 3 {
					all.Go(func() {
						_, err := get(t, tr, url)
						assert.NoError(t, err)
					})
				}
				all.Wait()
				took := time.Since(began)
				assert.GreaterOrEqual(t, took, tc.want)
				assert.LessOrEqual(t, took, tc.want+tc.want/50+2, "with up to a fiftieth, at random")
			})
		})
	}
}

// A wait that is too long is an error at once, with the time when the request could go on.
func TestWaitError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &server{handler: answer(429, "Retry-After", "3600")}
		tr := newTransport(t, outbound.Config{Base: s})
		resp, err := get(t, tr, url)
		require.NoError(t, err)
		assert.Equal(t, 429, resp.StatusCode, "the wait is too long to send it again")
		began := time.Now()
		_, err = (&http.Client{Transport: tr}).Get(url)
		var wait *outbound.WaitError
		require.ErrorAs(t, err, &wait)
		assert.Zero(t, time.Since(began))
		assert.WithinRange(t, wait.Until, began.Add(time.Hour), began.Add(time.Hour+time.Second))
		assert.Equal(t, "http://api.test", wait.Key)
		assert.Contains(t, err.Error(), "2000-01-01T01:00:0")
		assert.NotErrorIs(t, err, context.DeadlineExceeded)
		assert.Equal(t, map[int]int{429: 1}, s.statuses)
	})
}

// The deadline of a request is known before it has passed.
func TestDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := newTransport(t, outbound.Config{Base: &server{handler: answer(200, "Retry-After", "30")}})
		_, err := get(t, tr, url)
		require.NoError(t, err)
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		require.NoError(t, err)
		began := time.Now()
		_, err = tr.RoundTrip(r)
		assert.ErrorIs(t, err, context.DeadlineExceeded)
		assert.ErrorAs(t, err, new(*outbound.WaitError))
		assert.Zero(t, time.Since(began))
		_, err = (&http.Client{Transport: tr, Timeout: 20 * time.Second}).Get(url)
		assert.ErrorIs(t, err, context.DeadlineExceeded)
		assert.ErrorAs(t, err, new(*outbound.WaitError))
		assert.Zero(t, time.Since(began), "the Timeout of a Client is a deadline")
	})
}

// A request that is canceled while it waits leaves the queue, and the next one goes on in time.
func TestCancel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := newTransport(t, outbound.Config{Base: &server{handler: inTurn(answer(200, "Retry-After", "30"), answer(200))}})
		_, err := get(t, tr, url)
		require.NoError(t, err)
		began := time.Now()
		ctx, cancel := context.WithCancel(t.Context())
		var all sync.WaitGroup
		all.Go(func() {
			r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
			assert.NoError(t, err)
			_, err = tr.RoundTrip(r)
			assert.ErrorIs(t, err, context.Canceled)
			assert.Equal(t, 5*time.Second, time.Since(began))
		})
		synctest.Wait()
		all.Go(func() {
			_, err := get(t, tr, url)
			assert.NoError(t, err)
			assert.InDelta(t, 30, time.Since(began).Seconds(), 1)
		})
		time.Sleep(5 * time.Second)
		cancel()
		all.Wait()
		_, err = tr.RoundTrip(httptest.NewRequestWithContext(ctx, http.MethodGet, url, nil))
		assert.ErrorIs(t, err, context.Canceled)
	})
}

// Waiting requests learn at once that a pause has become too long for them.
func TestPauseGetsLonger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		first := make(chan struct{})
		slow := func(w http.ResponseWriter, r *http.Request) {
			<-first
			answer(429, "Retry-After", "300")(w, r)
		}
		s := &server{handler: inTurn(slow, answer(200, "Retry-After", "30"), answer(200))}
		tr := newTransport(t, outbound.Config{Base: s, MaxRetries: -1})
		var all sync.WaitGroup
		all.Go(func() { _, _ = get(t, tr, url) })
		time.Sleep(2 * time.Second) // the first request hangs, so the second one goes on
		_, err := get(t, tr, url)
		require.NoError(t, err)
		began := time.Now()
		all.Go(func() {
			_, err := get(t, tr, url)
			assert.ErrorAs(t, err, new(*outbound.WaitError))
			assert.Equal(t, 10*time.Second, time.Since(began))
		})
		time.Sleep(10 * time.Second)
		close(first)
		all.Wait()
	})
}

// After a pause requests begin slowly, and not all at once.
func TestNoStormAfterAPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &server{handler: inTurn(answer(429, "Retry-After", "10"), answer(200)), latency: 50 * time.Millisecond}
		tr := newTransport(t, outbound.Config{Base: s, MaxRetries: -1})
		_, err := get(t, tr, url)
		require.NoError(t, err)
		s.most = 0
		var all sync.WaitGroup
		for range 127 {
			all.Go(func() { _, err := get(t, tr, url); assert.NoError(t, err) })
		}
		began := time.Now()
		time.Sleep(10*time.Second + 250*time.Millisecond)
		synctest.Wait()
		s.mu.Lock()
		assert.LessOrEqual(t, s.most, 8, "requests in flight after two or three answers")
		s.mu.Unlock()
		all.Wait()
		assert.InDelta(t, 10+0.7+0.1, time.Since(began).Seconds(), 0.2, "seven round trips")
		assert.LessOrEqual(t, s.most, 64)
	})
}

// A server that says nothing is not slowed down after its first answer, and only a second by an
// answer that does not come.
func TestSilentServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &server{handler: answer(200), latency: 100 * time.Millisecond}
		tr := newTransport(t, outbound.Config{Base: s})
		began := time.Now()
		var all sync.WaitGroup
		for range 100 {
			all.Go(func() { _, err := get(t, tr, url); assert.NoError(t, err) })
		}
		all.Wait()
		assert.Equal(t, 400*time.Millisecond, time.Since(began), "one round trip, and one for all others")
		assert.Equal(t, 99, s.most)
	})
	synctest.Test(t, func(t *testing.T) {
		s := &server{handler: answer(200), latency: time.Hour}
		tr := newTransport(t, outbound.Config{Base: s})
		began := time.Now()
		var all sync.WaitGroup
		for range 3 {
			all.Go(func() { _, err := get(t, tr, url); assert.NoError(t, err) })
		}
		time.Sleep(2100 * time.Millisecond)
		s.mu.Lock()
		assert.Equal(t, 3, s.most)
		s.mu.Unlock()
		all.Wait()
		assert.Less(t, time.Since(began), 2*time.Hour+3*time.Second)
	})
}

// A Transport that never waits sends what it may send.
func TestNeverWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &server{handler: inTurn(answer(200), answer(200), answer(200, "Retry-After", "1"), answer(200)), latency: time.Second}
		tr := newTransport(t, outbound.Config{Base: s, MaxWait: -1})
		var all sync.WaitGroup
		for range 3 {
			all.Go(func() { _, err := get(t, tr, url); assert.NoError(t, err) })
		}
		all.Wait()
		_, err := get(t, tr, url)
		assert.ErrorAs(t, err, new(*outbound.WaitError))
		time.Sleep(1100 * time.Millisecond)
		_, err = get(t, tr, url)
		assert.NoError(t, err)
	})
}

// A hostile server cannot make the client wait longer than MaxPause, and OnError is told.
func TestAbsurdWaits(t *testing.T) {
	for _, fields := range [][]string{
		{"Retry-After", strings.Repeat("9", 40)},
		{"Retry-After", "Fri, 31 Dec 9999 23:59:59 GMT"},
		{"Retry-After-Ms", "99999999999999999"},
		{"RateLimit", `"a";r=0;t=999999999999999`},
		{"X-RateLimit-Remaining", "0", "X-RateLimit-Reset", "99999999999"},
		{"RateLimit", `"a";r=0`, "RateLimit-Policy", `"a";q=1;w=999999999999999`},
	} {
		t.Run(strings.Join(fields, " "), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var told []error
				tr := newTransport(t, outbound.Config{
					Base: &server{handler: inTurn(answer(200, fields...), answer(200))}, MaxPause: time.Minute, MaxWait: time.Hour,
					OnError: func(_ context.Context, err error) { told = append(told, err) },
				})
				_, err := get(t, tr, url)
				require.NoError(t, err)
				require.Len(t, told, 1)
				assert.ErrorContains(t, told[0], "cut to MaxPause, 1m0s")
				began := time.Now()
				_, err = get(t, tr, url)
				require.NoError(t, err)
				assert.InDelta(t, 60, time.Since(began).Seconds(), 1.3)
			})
		})
	}
}

// Denials that tell no wait pause the requests longer and longer, up to a minute.
func TestBackOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := newTransport(t, outbound.Config{Base: &server{handler: answer(429)}, MaxRetries: -1, MaxWait: time.Hour})
		var waits []float64
		for range 9 {
			began := time.Now()
			_, err := get(t, tr, url)
			require.NoError(t, err)
			waits = append(waits, time.Since(began).Seconds())
		}
		for i, want := range []float64{0, 1, 2, 4, 8, 16, 32, 60, 60} {
			assert.InDelta(t, want, waits[i], 1.1*want/50+0.001, "before request %d", i)
		}
	})
}

// A request that gets no answer, or whose Base panics, holds up no other.
func TestLostRequests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lost := errors.New("connection reset")
		n := 0
		tr := newTransport(t, outbound.Config{Base: roundTripper(func(r *http.Request) (*http.Response, error) {
			switch n++; n {
			case 1:
				return nil, lost
			case 2:
				panic("in Base")
			}
			return (&server{handler: answer(200)}).RoundTrip(r)
		})})
		began := time.Now()
		_, err := get(t, tr, url)
		assert.ErrorIs(t, err, lost)
		assert.PanicsWithValue(t, "in Base", func() { _, _ = get(t, tr, url) })
		_, err = get(t, tr, url)
		assert.NoError(t, err)
		assert.Zero(t, time.Since(began))
	})
}

type roundTripper func(r *http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// Requests of a key wait in order, and only so many.
func TestOrderAndMaxWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var paths []string
		var mu sync.Mutex
		s := &server{handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			mu.Lock()
			paths = append(paths, r.URL.Path)
			mu.Unlock()
			if r.URL.Path == "/" {
				w.Header().Set("Retry-After", "5")
			}
			w.WriteHeader(200)
		}), latency: time.Millisecond}
		tr := newTransport(t, outbound.Config{Base: s, MaxWaiting: 9})
		_, err := get(t, tr, url)
		require.NoError(t, err)
		var all sync.WaitGroup
		want := []string{"/"}
		for i := range 9 {
			path := strconv.Itoa(i)
			want = append(want, "/"+path)
			all.Go(func() { _, err := get(t, tr, url+path); assert.NoError(t, err) })
			synctest.Wait()
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		require.NoError(t, err)
		_, err = tr.RoundTrip(r)
		assert.ErrorAs(t, err, new(*outbound.WaitError))
		assert.NotErrorIs(t, err, context.DeadlineExceeded, "the deadline comes late enough")
		all.Wait()
		assert.ElementsMatch(t, want, paths)
		assert.Equal(t, want[:2], paths[:2])
	})
}

// The keys are bounded. If a wait holds for all, the key that was used longest ago makes room, so
// servers that ask for long waits do not stop requests to others. OnError is told once.
func TestMaxKeys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var told []error
		tr := newTransport(t, outbound.Config{
			Base: &server{handler: answer(200, "Retry-After", "86400")}, MaxKeys: 2, MaxWait: -1,
			OnError: func(_ context.Context, err error) { told = append(told, err) },
			ShareBy: func(r *http.Request) string { return strings.Repeat(r.URL.Path, 1000) },
		})
		for i, key := range []int{0, 1, 2, 3, 4, 4, 3, 2} { // 4 and 3 still wait, 2 is forgotten
			_, err := get(t, tr, url+strconv.Itoa(key))
			assert.Equal(t, i < 5 || key == 2, err == nil, "request %d: %v", i, err)
		}
		require.Len(t, told, 1)
		assert.EqualError(t, told[0],
			"outbound: all 2 keys are waiting, so waits are forgotten: want a larger MaxKeys")
		time.Sleep(25 * time.Hour)
		for i := 10; i < 20; i++ { // idle keys make room
			_, err := get(t, tr, url+strconv.Itoa(i))
			assert.NoError(t, err)
			time.Sleep(25 * time.Hour)
		}
		assert.Len(t, told, 1)
	})
}

// If all keys have requests under way, further keys share one.
func TestKeysInUse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var told []error
		fast := &server{handler: answer(200, "Retry-After", "30")}
		tr := newTransport(t, outbound.Config{
			MaxKeys: 2, MaxWait: -1,
			OnError: func(_ context.Context, err error) { told = append(told, err) },
			ShareBy: func(r *http.Request) string { return r.URL.Path },
			Base: roundTripper(func(r *http.Request) (*http.Response, error) {
				if r.URL.Path < "/2" {
					time.Sleep(time.Minute)
				}
				return fast.RoundTrip(r)
			}),
		})
		for i := range 2 {
			go func() { _, _ = get(t, tr, url+strconv.Itoa(i)) }()
		}
		synctest.Wait()
		for i, want := range []bool{true, false, false} {
			_, err := get(t, tr, url+strconv.Itoa(2+i))
			assert.Equal(t, want, err == nil, "key %d: %v", 2+i, err)
		}
		require.Len(t, told, 1)
		assert.EqualError(t, told[0], "outbound: all 2 keys are in use: want a larger MaxKeys")
		time.Sleep(3 * time.Minute) // until the requests have ended
	})
}

// Malformed fields are reported, and ignored.
func TestMalformedFields(t *testing.T) {
	var told []error
	tr := newTransport(t, outbound.Config{
		Base:    &server{handler: answer(200, "Retry-After", "later", "RateLimit", "(")},
		OnError: func(_ context.Context, err error) { told = append(told, err) },
		ShareBy: func(*http.Request) string { panic("no key") },
	})
	_, err := get(t, tr, url)
	require.NoError(t, err)
	require.Len(t, told, 3)
	assert.EqualError(t, told[0], "outbound: ShareBy: panic: no key")
	assert.ErrorContains(t, told[1], `outbound: response of "http://api.test": field Retry-After: want seconds or a date`)
}

func TestCloseIdleConnections(t *testing.T) {
	server := httptest.NewServer(answer(200))
	defer server.Close()
	tr := newTransport(t, outbound.Config{Base: &http.Transport{}})
	resp, err := get(t, tr, server.URL)
	require.NoError(t, err)
	assert.Equal(t, 200, resp.StatusCode)
	tr.CloseIdleConnections()
	newTransport(t, outbound.Config{Base: roundTripper(nil)}).CloseIdleConnections()
}

// Answers to requests from before a pause do not let more requests go on after it.
func TestStragglers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		after := 0
		s := &server{handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			switch r.URL.Path {
			case "/slow":
				time.Sleep(5 * time.Second)
			case "/pause":
				w.Header().Set("Retry-After", "1")
			case "/after":
				mu.Lock()
				after++
				mu.Unlock()
				time.Sleep(20 * time.Second)
			}
			w.WriteHeader(200)
		})}
		tr := newTransport(t, outbound.Config{Base: s, MaxWait: time.Hour})
		_, err := get(t, tr, url)
		require.NoError(t, err)
		var all sync.WaitGroup
		for range 30 {
			all.Go(func() { _, err := get(t, tr, url+"slow"); assert.NoError(t, err) })
		}
		synctest.Wait()
		_, err = get(t, tr, url+"pause")
		require.NoError(t, err)
		for range 30 {
			all.Go(func() { _, err := get(t, tr, url+"after"); assert.NoError(t, err) })
		}
		time.Sleep(6500 * time.Millisecond)
		mu.Lock()
		assert.LessOrEqual(t, after, 6, "a request a second goes on while there is no answer")
		mu.Unlock()
		all.Wait()
	})
}
