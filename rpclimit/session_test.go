package rpclimit_test

import (
	"context"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit"
	"github.com/ratelimit-go/ratelimit/rpclimit"
)

func TestMessagesOfSeveralRules(t *testing.T) {
	l := budgets(t, "9 per hour", "2 per hour")
	g := guard(t, rpclimit.Config{Limiter: l, Rules: []rpclimit.Rule{
		{Name: "a", Key: all, PerMessage: true}, {Name: "b", Key: all, PerMessage: true},
	}})
	s, d := g.Begin(t.Context(), callOf(method), nil, true)
	require.Nil(t, d)
	assert.Nil(t, s.Message(nil))
	assert.Nil(t, s.Message(nil))
	first := s.Message(nil)
	require.NotNil(t, first)
	assert.Equal(t, "b", first.Decision.Rule)
	require.NoError(t, l.Reset(t.Context(), "b", ratelimit.UserKey("all")))
	assert.Same(t, first, s.Message(nil), "the stream has ended")
	assert.Same(t, first, s.Denied())
	assert.EqualValues(t, 7, left(t, l, "a"))
}

// TestErrorsAreLogged has a Guard without an Error hook log, but not for each call.
func TestErrorsAreLogged(t *testing.T) {
	var log strings.Builder
	old := slog.Default()
	slog.SetDefault(slog.New(slog.NewTextHandler(&log, nil)))
	defer slog.SetDefault(old)
	g := guard(t, rpclimit.Config{Limiter: budgets(t, "9 per hour"), Rules: []rpclimit.Rule{{
		Name: "a", Key: func(context.Context, rpclimit.Call) (ratelimit.Key, error) { return ratelimit.Key{}, errMistake },
	}}})
	for range 3 {
		require.Nil(t, begin(t.Context(), g, method))
	}
	assert.Equal(t, 1, strings.Count(log.String(), errMistake.Error()))
}

// TestHooksPanic has hooks panic. The calls go on as if they had not.
func TestHooksPanic(t *testing.T) {
	g := guard(t, rpclimit.Config{
		Limiter: budgets(t, "1 per hour"), Rules: []rpclimit.Rule{{Name: "a"}},
		Denied: func(context.Context, rpclimit.Call, ratelimit.Decision) { panic("a bug") },
		Error:  func(context.Context, error) { panic("another bug") },
	})
	require.Nil(t, begin(t.Context(), g, method))
	assert.NotNil(t, begin(t.Context(), g, method))
}

// TestOutcomes has calls end with codes, under rules that count only some.
func TestOutcomes(t *testing.T) {
	type code uint32 // as codes.Code and connect.Code
	tests := []struct {
		name      string
		countOnly func(rpclimit.Outcome) bool
		code      uint32
		returned  bool
		counts    bool
	}{
		{"success is no failure", rpclimit.Failures, 0, true, false},
		{"an error is a failure", rpclimit.Failures, 2, true, true},
		{"a panic counts", rpclimit.Failures, 0, false, true},
		{"one of the codes", rpclimit.CodeIn[code](7, 16), 16, true, true},
		{"another code", rpclimit.CodeIn[code](7, 16), 5, true, false},
		{"no code", rpclimit.CodeIn[code](), 5, true, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			l := budgets(t, "9 per hour", "9 per hour")
			g := guard(t, rpclimit.Config{Limiter: l, Rules: []rpclimit.Rule{
				{Name: "a", Key: all, CountOnly: tt.countOnly}, {Name: "b", Key: all},
			}})
			s, d := g.Begin(t.Context(), callOf(method), nil, true)
			require.Nil(t, d)
			s.End(tt.code, tt.returned)
			want := int64(9)
			if tt.counts {
				want = 8
			}
			assert.Equal(t, want, left(t, l, "a"))
			assert.EqualValues(t, 8, left(t, l, "b"))
		})
	}
}

// TestCutShort has calls end without an outcome, under a rule that counts only one code. Otherwise
// a client that leaves just before each answer is never charged.
func TestCutShort(t *testing.T) {
	const canceled, deadlineExceeded, notFound, unauthenticated = 1, 4, 5, 16
	tests := []struct {
		name   string
		end    func(s *rpclimit.Session, leave func())
		code   uint32
		counts bool
	}{
		{"another code", func(*rpclimit.Session, func()) {}, notFound, false},
		{"another code, the client has left", func(_ *rpclimit.Session, leave func()) { leave() }, notFound, true},
		{"success, the client has left", func(_ *rpclimit.Session, leave func()) { leave() }, 0, false},
		{"the code, the client has left", func(_ *rpclimit.Session, leave func()) { leave() }, unauthenticated, true},
		{"canceled", func(*rpclimit.Session, func()) {}, canceled, true},
		{"a broken stream", func(s *rpclimit.Session, _ func()) { s.Broken() }, notFound, true},
		{"success of a broken stream", func(s *rpclimit.Session, _ func()) { s.Broken() }, 0, false},
		{"a denied message", func(s *rpclimit.Session, _ func()) { s.Message(nil); s.Message(nil) }, notFound, true},
		{"a timeout of the service", func(*rpclimit.Session, func()) {}, deadlineExceeded, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			l := budgets(t, "9 per hour", "1 per hour")
			g := guard(t, rpclimit.Config{Limiter: l, Rules: []rpclimit.Rule{
				{Name: "a", Key: all, CountOnly: func(o rpclimit.Outcome) bool { return o.Code == unauthenticated }},
				{Name: "b", Key: all, PerMessage: true},
			}})
			ctx, leave := context.WithCancel(t.Context())
			defer leave()
			s, d := g.Begin(ctx, callOf(method), nil, true)
			require.Nil(t, d)
			tt.end(s, leave)
			s.End(tt.code, true)
			want := int64(9)
			if tt.counts {
				want = 8
			}
			assert.Equal(t, want, left(t, l, "a"))
		})
	}
	t.Run("a handler gives up before the deadline", func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		assert.True(t, rpclimit.CutShort(ctx, deadlineExceeded, false))
		assert.False(t, rpclimit.CutShort(ctx, notFound, false))
	})
	var none *rpclimit.Session
	none.Broken() // to which nothing applies
}

// A call that ends twice is refunded once.
func TestEndTwice(t *testing.T) {
	l := budgets(t, "9 per hour")
	g := guard(t, rpclimit.Config{Limiter: l, Rules: []rpclimit.Rule{{Name: "a", Key: all, CountOnly: rpclimit.Failures}}})
	other, d := g.Begin(t.Context(), callOf(method), nil, true)
	require.Nil(t, d)
	s, d := g.Begin(t.Context(), callOf(method), nil, true)
	require.Nil(t, d)
	s.End(0, true)
	s.End(0, true)
	assert.EqualValues(t, 8, left(t, l, "a"))
	other.End(0, false)
	other.End(0, true)
	assert.EqualValues(t, 8, left(t, l, "a"), "the panic stands")
}

// TestRefundWithoutABudget takes the budget away during a call. The refund is reported.
func TestRefundWithoutABudget(t *testing.T) {
	var told reports
	l := budgets(t, "9 per hour")
	g := guard(t, rpclimit.Config{
		Limiter: l, Rules: []rpclimit.Rule{{Name: "a", CountOnly: rpclimit.Failures}}, Error: told.add,
	})
	s, d := g.Begin(t.Context(), callOf(method), nil, true)
	require.Nil(t, d)
	require.NoError(t, l.SetPolicy(ratelimit.Policy{}))
	s.End(0, true)
	require.Len(t, told.errs, 1)
	assert.ErrorIs(t, told.errs[0], ratelimit.ErrNoRule)
}

func TestMessagesOfOneRule(t *testing.T) {
	l := budgets(t, "2 per hour")
	g := guard(t, rpclimit.Config{Limiter: l, Rules: []rpclimit.Rule{{Name: "a", Key: all, PerMessage: true}}})
	type value struct{}
	s, d := g.Begin(context.WithValue(t.Context(), value{}, 1), callOf(method), nil, true)
	require.Nil(t, d)
	assert.Equal(t, 1, s.Value(value{}), "values of the outer context")
	assert.Empty(t, rpclimit.Decisions(s), "of the call there is none")
	assert.Nil(t, s.Message(nil))
	assert.Nil(t, s.Message(nil))
	require.NotNil(t, s.Message(nil))
	assert.NotNil(t, begin(t.Context(), g, method), "a unary call is a message")
}
