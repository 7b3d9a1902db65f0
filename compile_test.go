package ratelimit_test

import (
	"context"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/ratelimit-go/ratelimit"
)

// A rule remembers a bounded number of limits that LimitsFor has chosen. Others are enforced too.
func TestChosenLimitsThatARuleRemembers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := rule("r", "1 per hour")
		r.Key = ratelimit.ByUser(field("User"))
		r.LimitsFor = func(_ context.Context, key ratelimit.Key) ratelimit.Limits {
			n, _ := strconv.ParseInt(key.String()[len("user:"):], 10, 64)
			return ratelimit.Limits{ratelimit.Per(n, time.Hour)}
		}
		l := newLimiter(t, ratelimit.Config{Rules: []ratelimit.Rule{r}})
		h := l.Handler(ok)
		for range 2 {
			var all sync.WaitGroup
			for worker := range 4 {
				all.Go(func() {
					for n := 1 + worker; n <= 2000; n += 4 {
						serve(h, with("User", strconv.Itoa(n)))
					}
				})
			}
			all.Wait()
			remembered, counted := l.Chosen("r")
			assert.Equal(t, 1024, remembered)
			assert.LessOrEqual(t, counted, 1024+4, "a count that grows with each request wraps around")
		}
		for _, n := range []int{3, 1999} {
			user := strconv.Itoa(n)
			for range n - 2 {
				assert.Equal(t, 200, serve(h, with("User", user)).Code)
			}
			assert.Equal(t, 429, serve(h, with("User", user)).Code)
		}
	})
}
