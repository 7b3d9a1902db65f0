package ratelimit_test

import (
	"context"
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit"
)

// Reset fills the buckets of all limits that were chosen for the key, also if they are more than
// the rule has itself.
func TestResetOfChosenLimits(t *testing.T) {
	t.Parallel()
	r := rule("r", "100 per minute")
	r.LimitsFor = func(context.Context, ratelimit.Key) ratelimit.Limits {
		return ratelimit.MustParse("100 per minute; 2 per day")
	}
	l := newLimiter(t, ratelimit.Config{Rules: []ratelimit.Rule{r}})
	h := l.Handler(ok)
	assert.Equal(t, []int{200, 200, 429}, codes(h, with(), with(), with()))
	require.NoError(t, l.Reset(t.Context(), "r", client()))
	assert.Equal(t, http.StatusOK, serve(h, with()).Code)

	assert.Equal(t, []int{200, 429}, codes(h, with(), with()))
	require.NoError(t, l.SetPolicy(ratelimit.Policy{Rules: []ratelimit.Rule{r}}))
	require.NoError(t, l.Reset(t.Context(), "r", client()))
	assert.Equal(t, http.StatusOK, serve(h, with()).Code, "nothing was chosen since the rule was replaced")
}
