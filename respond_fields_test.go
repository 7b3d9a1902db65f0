package ratelimit_test

import (
	"net/http"
	"regexp"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit"
)

// resetFields has the forms whose clients wait for a reset, with the field that has it.
var resetFields = []struct {
	form  ratelimit.Headers
	field string
}{
	{ratelimit.Draft7Headers, "RateLimit"},
	{ratelimit.Draft6Headers, "RateLimit-Reset"},
	{ratelimit.LegacyHeaders, "X-RateLimit-Reset"},
}

var lastNumber = regexp.MustCompile(`\d+$`)

// resetIn returns the seconds from now until the reset in the response.
func resetIn(t *testing.T, form ratelimit.Headers, h http.Header, field string) int64 {
	t.Helper()
	n, err := strconv.ParseInt(lastNumber.FindString(h.Get(field)), 10, 64)
	require.NoError(t, err)
	if form == ratelimit.LegacyHeaders {
		n -= time.Now().Unix()
	}
	return n
}

// The reset is when the bucket is full, while tokens are left. Then it is when the client may go
// on, because clients of these forms wait for it: GitHub's without a look at Retry-After.
func TestResetIsWhenTheClientMayGoOn(t *testing.T) {
	for _, tc := range resetFields {
		t.Run(string(tc.form), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				cfg := ratelimit.Config{Headers: tc.form, Rules: []ratelimit.Rule{rule("r", "10 per minute")}}
				h := newLimiter(t, cfg).Handler(ok)
				var told []int64
				for range 11 {
					told = append(told, resetIn(t, tc.form, serve(h, with()).Header(), tc.field))
				}
				assert.Equal(t, []int64{6, 12, 18, 24, 30, 36, 42, 48, 54, 6, 6}, told)
				denied := serve(h, with())
				assert.Equal(t, "6", denied.Header().Get("Retry-After"))
				for range 20 { // a client that goes by the reset alone
					w := serve(h, with())
					assert.Equal(t, 429, w.Code)
					time.Sleep(time.Duration(resetIn(t, tc.form, w.Header(), tc.field)) * time.Second)
					assert.Equal(t, 200, serve(h, with()).Code)
				}
			})
		})
	}
}

// A request of several tokens waits for all of them. A request above the burst has no wait.
func TestResetOfCosts(t *testing.T) {
	for _, tc := range resetFields {
		t.Run(string(tc.form), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := rule("r", "10 per minute")
				r.Cost = func(r *http.Request) int64 { n, _ := strconv.ParseInt(r.Header.Get("Cost"), 10, 64); return n }
				h := newLimiter(t, ratelimit.Config{Headers: tc.form, Rules: []ratelimit.Rule{r}}).Handler(ok)
				reset := func(cost string) int64 {
					return resetIn(t, tc.form, serve(h, with("Cost", cost)).Header(), tc.field)
				}
				assert.Equal(t, int64(6), reset("0"), "costs one token")
				assert.Equal(t, int64(42), reset("6"), "3 tokens left")
				assert.Equal(t, int64(12), reset("5"), "denied: 2 tokens are missing")
				assert.Equal(t, int64(42), reset("11"), "more than the bucket holds")
				assert.Equal(t, int64(6), reset("3"), "none left")
			})
		})
	}
}

// Waits are rounded up to the next whole second, for any fraction. A client that waits exactly
// so long is allowed, and a second earlier it is denied.
func TestRetryAfterOfFractions(t *testing.T) {
	for _, fraction := range []time.Duration{
		0, 1, time.Microsecond, 500 * time.Microsecond, time.Millisecond, 500 * time.Millisecond, time.Second - 1,
	} {
		t.Run(fraction.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				limit := ratelimit.Limit{Count: 1, Period: time.Second + fraction, Burst: 1}
				h := newLimiter(t, ratelimit.Config{Rules: []ratelimit.Rule{{Name: "r", Limits: ratelimit.Limits{limit}}}}).Handler(ok)
				require.Equal(t, 200, serve(h, with()).Code)
				want := "2"
				if fraction == 0 {
					want = "1"
				}
				w := serve(h, with())
				assert.Equal(t, want, w.Header().Get("Retry-After"))
				assert.Equal(t, `"r";r=0;t=`+want, w.Header().Get("RateLimit"))
				secs, err := strconv.Atoi(w.Header().Get("Retry-After"))
				require.NoError(t, err)
				time.Sleep(time.Duration(secs-1) * time.Second)
				assert.Equal(t, 429, serve(h, with()).Code)
				time.Sleep(time.Second)
				assert.Equal(t, 200, serve(h, with()).Code)
			})
		})
	}
}

// Appending to any field that the limiter has written leaves the others as they are.
func TestAppendingToAFieldLeavesTheOthers(t *testing.T) {
	for _, form := range []ratelimit.Headers{
		ratelimit.DraftHeaders, ratelimit.Draft7Headers, ratelimit.Draft6Headers, ratelimit.LegacyHeaders,
	} {
		for _, status := range []int{200, 429} {
			t.Run(string(form)+", "+strconv.Itoa(status), func(t *testing.T) {
				h := newLimiter(t, ratelimit.Config{Headers: form, Rules: []ratelimit.Rule{rule("r", "1 per hour")}}).Handler(ok)
				w := serve(h, with())
				if status == 429 {
					w = serve(h, with())
				}
				require.Equal(t, status, w.Code)
				for name, values := range w.Header() {
					assert.Len(t, values, 1, name)
					assert.Equal(t, 1, cap(values), "%s: appending to it writes into the next field", name)
				}
			})
		}
	}
}
