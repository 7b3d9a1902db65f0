package outbound_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit/outbound"
)

// One server has one key, in every spelling of its URL.
func TestSpellingsOfAServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newBudgets(t, "own", "1 per minute")
		for _, same := range [][2]string{
			{"http://api.test/", "http://API.test:80/"},
			{"https://api.test/", "https://Api.Test:443/"},
			{"http://[2001:db8::a]/", "http://[2001:DB8::A]:80/"},
		} {
			tr := newTransport(t, outbound.Config{
				MaxWait: 2 * time.Minute,
				Base:    &server{handler: answer(200, "RateLimit-Remaining", "0", "RateLimit-Reset", "60")},
			})
			own := newTransport(t, outbound.Config{
				Base: &server{handler: answer(200)}, MaxWait: -1, Rules: []outbound.Rule{{Limiter: l, Budget: "own"}},
			})
			began := time.Now()
			for _, url := range same {
				_, err := get(t, tr, url)
				require.NoError(t, err)
			}
			assert.GreaterOrEqual(t, time.Since(began), time.Minute, "%v", same)
			_, err := get(t, own, same[0])
			require.NoError(t, err)
			_, err = get(t, own, same[1])
			assert.Error(t, err, "%v", same)
		}
	})
}
