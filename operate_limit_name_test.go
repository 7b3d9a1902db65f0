package ratelimit_test

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/ratelimit-go/ratelimit"
)

// The name of a decorator is its text, cut to the length that a name may have.
func TestDecoratorOfALongText(t *testing.T) {
	t.Parallel()
	l := newLimiter(t, ratelimit.Config{})
	text := "1000000 per second; 20000000 per minute; 300000000 per hour; 4000000000 per day"
	h := l.Limit(text, ratelimit.ByClientIP())(l.Limit(text, ratelimit.ByClientIP())(ok))
	fields := serve(h, with()).Header().Get("RateLimit-Policy")
	name := text[:56]
	assert.Contains(t, fields, `"`+name+`-1";q=1000000;w=1`)
	assert.Contains(t, fields, `"`+name+` #2-1";q=1000000;w=1`)
}
