package redisstore_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit"
	"github.com/ratelimit-go/ratelimit/redisstore"
	"github.com/ratelimit-go/ratelimit/redisstore/internal/redistest"
)

// Instances with two versions of a policy use one key by turns. Each turn has new instances, which
// remember no denial.
func TestTwoVersionsOfAPolicyInRedis(t *testing.T) {
	for name, row := range map[string]struct {
		texts []string
		wait  time.Duration
		most  int
	}{
		"a lower limit":     {[]string{"200 per hour", "20 per hour"}, 0, 200},
		"a lower burst":     {[]string{"1000 per hour burst 20", "1000 per hour burst 10"}, 0, 20},
		"a slower rate":     {[]string{"1000 per second burst 20", "1 per hour burst 20"}, 0, 6000},
		"another order":     {[]string{"10 per second; 20 per hour", "20 per hour; 10 per second"}, 0, 20},
		"one more":          {[]string{"20 per hour", "10 per second; 20 per hour"}, 0, 20},
		"one more of two":   {[]string{"10 per minute; 20 per hour", "2 per second; 10 per minute; 20 per hour"}, 0, 10},
		"a slower one more": {[]string{"20 per hour", "20 per hour; 50 per day"}, 0, 20},
		"a slower one more of two": {
			[]string{"30 per minute; 20 per hour", "20 per hour; 50 per day; 30 per minute"}, 0, 20,
		},
		"a slower one more and a lower limit": {[]string{"20 per hour", "50 per day; 10 per hour"}, 0, 20},
		"a wait":                              {[]string{"20 per hour", "20 per hour"}, 6 * time.Minute, 22},
	} {
		t.Run(name, func(t *testing.T) {
			server := redistest.Start(t)
			s := newStore(t, server.Client(), redisstore.Config{})
			allowed := 0
			for range 100 {
				for i, text := range row.texts {
					rule := ratelimit.Rule{Name: "r", Limits: ratelimit.MustParse(text)}
					if i > 0 {
						rule.MaxWait = row.wait
					}
					l, err := ratelimit.New(ratelimit.Config{
						Store: s, OnStoreFailure: ratelimit.FailClosed, StoreTimeout: 5 * time.Second,
						Rules: []ratelimit.Rule{rule}, Hooks: quiet,
					})
					require.NoError(t, err)
					for range 3 {
						d, err := l.Take(t.Context(), "r", ratelimit.UserKey("a"), 1)
						require.NoError(t, err)
						require.NoError(t, d.StoreErr)
						if d.Allowed {
							allowed++
						}
					}
				}
			}
			assert.LessOrEqual(t, allowed, row.most)
		})
	}
}
