package ratelimit_test

import (
	"context"
	"fmt"
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/ratelimit-go/ratelimit"
	"github.com/ratelimit-go/ratelimit/internal/testsize"
)

// A handler that makes its decorator for each request is limited anyway, keeps no memory, and
// says what is wrong.
func TestDecoratorsMadePerRequest(t *testing.T) {
	var reported []string
	memory := ratelimit.NewMemoryStore(ratelimit.MemoryConfig{})
	l := newLimiter(t, ratelimit.Config{Store: memory, Hooks: ratelimit.Hooks{Error: func(_ context.Context, err error) {
		reported = append(reported, err.Error())
	}}})
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		user := r.Header.Get("X-User") // the key of each request is another function
		by := ratelimit.ByUser(func(*http.Request) string { return user })
		l.Limit("3 per hour", by)(ok).ServeHTTP(w, r)
	})
	allowed := map[string]int{}
	for i := range testsize.Of(5000, 1000) {
		user := fmt.Sprint("user", i%5)
		if serve(h, with("X-User", user)).Code == http.StatusOK {
			allowed[user]++
		}
	}
	assert.Equal(t, map[string]int{"user0": 3, "user1": 3, "user2": 3, "user3": 3, "user4": 3}, allowed)
	assert.Equal(t, 5, memory.Stats().Keys)
	assert.Equal(t, []string{`ratelimit: rule "3 per hour": a decorator is made while requests are served: make it once, at start-up`},
		reported, "once")

	assert.NoError(t, l.SetMode("3 per hour", ratelimit.Off))
	assert.Equal(t, 200, serve(h, with("X-User", "user0")).Code)
	assert.NoError(t, l.SetMode("3 per hour", ""))
}

// Equal decorators that are made before the first request have limits of their own.
func TestEqualDecoratorsAtStartUp(t *testing.T) {
	l := newLimiter(t, ratelimit.Config{})
	first, second := l.Limit("1 per hour")(ok), l.Limit("1 per hour")(ok)
	assert.Equal(t, []int{200, 429}, codes(first, with(), with()))
	assert.Equal(t, []int{200, 429}, codes(second, with(), with()))
}

// A Limiter keeps a bounded number of decorators with invented names. Each new decorator compiles
// all rules anew. In the smaller size, most rules of the 1000 are therefore there at start-up.
func TestNumberOfDecoratorsIsBounded(t *testing.T) {
	named := func(i int) ratelimit.Rule { return rule(fmt.Sprint("rule ", i), "1 per hour") }
	var first []ratelimit.Rule
	for i := range testsize.Of(0, 950) {
		first = append(first, named(i))
	}
	l := newLimiter(t, ratelimit.Config{Rules: first, Hooks: unreported()})
	h := func(i int) http.Handler { return l.With(named(i))(ok) }
	for i := len(first); i < 1100; i++ {
		assert.Equal(t, 200, serve(h(i), with()).Code)
	}
	assert.Equal(t, 429, serve(h(1099), with()).Code, "not kept, and limited all the same")
	_, err := l.Peek(t.Context(), "rule 1099", client())
	assert.ErrorIs(t, err, ratelimit.ErrNoRule)
	_, err = l.Decorator(ratelimit.Rule{Name: "bad"})
	assert.ErrorContains(t, err, "ratelimit: With[0].Limits: no limits")
}
