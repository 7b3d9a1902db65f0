package outbound_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit"
	"github.com/ratelimit-go/ratelimit/internal/testsize"
	"github.com/ratelimit-go/ratelimit/outbound"
)

// A hostile is a server that tells anything about one to three quotas, and contradicts itself.
type hostile struct {
	mu     sync.Mutex
	rnd    *rand.Rand
	form   int
	quotas int
}

func (s *hostile) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	numbers := []string{"0", "1", "2", "3", "5", "10", "19", "20", "21", "30", "60", "100", "900000000000", "999999999999999"}
	number := func() string { return numbers[s.rnd.IntN(len(numbers))] }
	h, which := w.Header(), s.rnd.IntN(s.quotas)
	switch s.form {
	case 0:
		h.Set("RateLimit", fmt.Sprintf(`"%d";r=%s;t=%s`, which, number(), number()))
		if s.rnd.IntN(2) == 0 {
			h.Set("RateLimit-Policy", fmt.Sprintf(`"%d";q=%s;w=%s`, which, number(), number()))
		}
	case 1:
		h.Set("RateLimit", fmt.Sprintf(`"a";r=%s;t=%d`, number(), s.rnd.IntN(12)))
		h.Set("RateLimit-Policy", fmt.Sprintf(`"a";q=%s;w=%d`, number(), s.rnd.IntN(11)))
	default:
		h.Set("X-RateLimit-Limit", []string{"20", "100", "5"}[which])
		h.Set("X-RateLimit-Remaining", number())
		reset := number()
		if s.form == 3 {
			reset = strconv.FormatInt(time.Now().Unix()+int64(s.rnd.IntN(30)), 10)
		}
		h.Set("X-RateLimit-Reset", reset)
	}
	w.WriteHeader([]int{200, 200, 200, 200, 429}[s.rnd.IntN(5)])
}

// After any answers, a request waits for MaxPause at most, and two seconds for jitter and rounding.
func TestNoRequestIsLockedOut(t *testing.T) {
	for seed := range uint64(testsize.Of(1000, 100)) {
		synctest.Test(t, func(t *testing.T) {
			rnd := rand.New(rand.NewPCG(seed, 7))
			s := &server{
				handler: &hostile{rnd: rnd, form: rnd.IntN(4), quotas: 1 + rnd.IntN(3)},
				latency: time.Duration(rnd.IntN(3)) * 20 * time.Millisecond,
			}
			tr := newTransport(t, outbound.Config{
				Base: s, MaxWait: 365 * 24 * time.Hour, MaxPause: 10 * time.Second, MaxRetries: -1,
				OnError: func(context.Context, error) {},
			})
			together := 5 * int(seed%2)
			for i := range 60 {
				var all sync.WaitGroup
				for range together * (1 - min(i%3, 1)) {
					all.Go(func() { _, _ = get(t, tr, url) })
				}
				all.Wait()
				began := time.Now()
				_, err := get(t, tr, url)
				require.NoError(t, err, "seed %d, request %d", seed, i)
				require.LessOrEqual(t, time.Since(began), 12*time.Second+s.latency*2, "seed %d, request %d", seed, i)
			}
		})
	}
}

// A limit that was large showed many other clients. They do not count under the small limit that
// follows: it would have no room for a request, for a year.
func TestLimitThatFalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &server{handler: inTurn(
			answer(200, "RateLimit", `"a";r=900000000000000;t=1`, "RateLimit-Policy", `"a";q=900000000000000;w=1`),
			answer(200, "RateLimit", `"a";r=0;t=1`, "RateLimit-Policy", `"a";q=900000000000000;w=1`),
			answer(200, "RateLimit", `"a";r=5;t=1`, "RateLimit-Policy", `"a";q=10;w=1`),
		)}
		tr := newTransport(t, outbound.Config{Base: s})
		for i, want := range []float64{0, 0, 1, 0, 0, 0} {
			began := time.Now()
			_, err := get(t, tr, url)
			require.NoError(t, err, "request %d", i)
			assert.InDelta(t, want, time.Since(began).Seconds(), 0.03, "request %d", i)
		}
	})
}

// Requests that get no answer for an hour do not hold up others when the server's bucket has filled
// again. The server counted them long ago.
func TestRequestsThatHang(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		limited := library(t, "10 per minute", ratelimit.DraftHeaders)()
		s := &server{handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/slow" {
				time.Sleep(time.Hour)
			}
			limited.ServeHTTP(w, r)
		})}
		tr := newTransport(t, outbound.Config{Base: s, MaxRetries: -1})
		for range 30 { // shows that it is a bucket
			_, err := get(t, tr, url)
			require.NoError(t, err)
		}
		time.Sleep(5 * time.Minute)
		var all sync.WaitGroup
		for range 10 {
			all.Go(func() { _, _ = get(t, tr, url+"slow") })
		}
		time.Sleep(time.Minute)
		for range 8 {
			began := time.Now()
			_, err := get(t, tr, url)
			require.NoError(t, err)
			assert.Less(t, time.Since(began), time.Second)
		}
		all.Wait()
	})
}
