package outbound_test

import (
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/ratelimit-go/ratelimit"
	"github.com/ratelimit-go/ratelimit/outbound"
)

// TestBurstsAfterIdleTimes is about buckets whose fields tell the rate, and whose burst is another.
// While the client is idle they fill up to the burst, and not to the rate.
func TestBurstsAfterIdleTimes(t *testing.T) {
	for _, limits := range []string{
		"20 per minute burst 1", "60 per minute burst 3", "50 per second burst 5", "100 per minute strict burst 20",
		"100 per minute strict", "80 per minute burst 200", "10 per second burst 50", "5000 per second burst 2",
	} {
		t.Run(limits, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &server{handler: library(t, limits, ratelimit.DraftHeaders)(), latency: 20 * time.Millisecond}
				tr := newTransport(t, outbound.Config{Base: s, MaxWait: time.Hour})
				for range 5 {
					var all sync.WaitGroup
					end := time.Now().Add(10 * time.Second)
					for range 10 {
						all.Go(func() {
							for time.Now().Before(end) {
								_, _ = get(t, tr, url)
							}
						})
					}
					all.Wait()
					time.Sleep(2 * time.Minute)
				}
				assert.Zero(t, s.late, "denials after the first answer, of %v", s.statuses)
			})
		})
	}
}
