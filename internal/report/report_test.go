package report

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

type contextKey struct{}

func TestCallReportsErrorsAndPanics(t *testing.T) {
	cause := errors.New("negative cost -1")
	for _, tc := range []struct {
		name string
		f    func() error
		want string
	}{
		{name: "no error", f: func() error { return nil }},
		{name: "an error", f: func() error { return cause }, want: "ratelimit: r: Cost: negative cost -1"},
		{name: "a panic with a text", f: func() error { panic("cost") }, want: "ratelimit: r: Cost: panic: cost"},
		{name: "a panic with an error", f: func() error { panic(cause) }, want: "ratelimit: r: Cost: panic: negative cost -1"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var reported []error
			r := New("ratelimit", "rate limiter", func(ctx context.Context, err error) {
				assert.Equal(t, "of the request", ctx.Value(contextKey{}))
				reported = append(reported, err)
			})
			r.Call(context.WithValue(t.Context(), contextKey{}, "of the request"), "r: Cost", tc.f)
			if tc.want == "" {
				assert.Empty(t, reported)
				return
			}
			require.Len(t, reported, 1)
			require.EqualError(t, reported[0], tc.want)
		})
	}
}

func TestCallWrapsTheError(t *testing.T) {
	cause := errors.New("cause")
	var reported error
	New("shed", "load shedder", func(_ context.Context, err error) { reported = err }).
		Call(t.Context(), "Priority", func() error { return cause })
	require.ErrorIs(t, reported, cause)
	require.EqualError(t, reported, "shed: Priority: cause")
}

func TestReportPassesTheErrorOnAsItIs(t *testing.T) {
	cause := errors.New("cause")
	var reported error
	New("ratelimit", "rate limiter", func(_ context.Context, err error) { reported = err }).Report(t.Context(), cause)
	assert.Same(t, cause, reported)
}

func TestPanicOfOnErrorIsIgnored(t *testing.T) {
	calls := 0
	r := New("ratelimit", "rate limiter", func(context.Context, error) { calls++; panic("reporting") })
	r.Report(t.Context(), errors.New("an error"))
	r.Call(t.Context(), "Skip", func() error { panic("skip") })
	assert.Equal(t, 2, calls)
}

// logged returns what f writes to the default logger, one record a line, without the time.
func logged(f func()) []string {
	var out bytes.Buffer
	before := slog.Default()
	defer slog.SetDefault(before)
	slog.SetDefault(slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{
		ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey {
				return slog.Attr{}
			}
			return a
		},
	})))
	f()
	return strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
}

func TestErrorsAreLoggedOnceEveryTenSeconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := New("ratelimit", "rate limiter", nil)
		lines := logged(func() {
			for range 200 { // 20 seconds
				var all sync.WaitGroup
				for range 5 {
					all.Go(func() { r.Call(t.Context(), "Skip", func() error { return errors.New("no") }) })
				}
				all.Wait()
				time.Sleep(100 * time.Millisecond)
			}
		})
		line := `level=ERROR msg="rate limiter" error="ratelimit: Skip: no"`
		assert.Equal(t, []string{line, line}, lines)
		lines = logged(func() { r.Call(t.Context(), "Skip", func() error { return errors.New("no") }) })
		assert.Equal(t, []string{line}, lines, "the next interval begins after exactly 20 seconds")
	})
}

// An outage is two lines, even if the store goes down several times before it is up.
func TestOutageIsLogged(t *testing.T) {
	r := New("ratelimit", "rate limiter", nil)
	lines := logged(func() {
		r.Up(t.Context(), 0, Decisions{})
		r.Report(t.Context(), errors.New("the first error"))
		p := Policies{Memory: 2, Instances: 3}
		r.Down(t.Context(), "timeout", errors.New("too slow"), 5, p, Decisions{Open: 1, Closed: 2, Memory: 3})
		r.Down(t.Context(), "timeout", errors.New("too slow"), 1, p, Decisions{Open: 1, Closed: 2, Memory: 4})
		r.Up(t.Context(), 1234567*time.Microsecond, Decisions{Open: 1, Closed: 4, Memory: 1003})
		r.Up(t.Context(), 0, Decisions{})
		r.Report(t.Context(), errors.New("the second error"))
	})
	assert.Equal(t, []string{
		`level=ERROR msg="rate limiter" error="the first error"`,
		`level=ERROR msg="rate limiter: the store is down" policy="using in-memory limits, 1/3 each" ` +
			`store.state=down store.reason=timeout store.failures_in_a_row=5 store.error="too slow"`,
		`level=INFO msg="rate limiter: the store is up" store.state=up store.down_for=1.235s ` +
			`decided.open=0 decided.closed=2 decided.memory=1000`,
	}, lines)
}

func TestPolicies(t *testing.T) {
	for want, p := range map[string]Policies{
		"":                                  {},
		"using in-memory limits, 1/1 each":  {Memory: 1},
		"allowing requests without a limit": {Open: 9, Instances: 3},
		"denying requests with status 503":  {Closed: 1},
		"using in-memory limits, 1/2 each (1 rules); allowing requests without a limit (2 rules); " +
			"denying requests with status 503 (3 rules)": {Memory: 1, Open: 2, Closed: 3, Instances: 2},
	} {
		assert.Equal(t, want, p.String())
	}
}

func TestCallAllocatesNothing(t *testing.T) {
	r := New("ratelimit", "rate limiter", nil)
	n := 0
	assert.Zero(t, testing.AllocsPerRun(100, func() {
		r.Call(context.Background(), "Cost", func() error { n++; return nil })
	}))
	assert.Positive(t, n)
}

// A panic is reported with the beginning of its stack, in the error and in the log. Its value is
// cut.
func TestPanicsHaveAStack(t *testing.T) {
	err := Safely(func() error { panicsHere(); return nil })
	require.EqualError(t, err, "panic: here")
	var traced interface{ Stack() []byte }
	require.ErrorAs(t, fmt.Errorf("ratelimit: Cost: %w", err), &traced)
	assert.Contains(t, string(traced.Stack()), "report.panicsHere")

	require.ErrorAs(t, Safely(func() error { panicsBelow(200); return nil }), &traced)
	assert.Len(t, traced.Stack(), 4096)
	for size, want := range map[int]int{1024: 1024, 1025: 1027, 1 << 20: 1027} {
		err = Safely(func() error { panic(strings.Repeat("x", size-len("panic: "))) })
		assert.Equal(t, want, len(err.Error()))
	}
	err = Safely(func() error { panic(context.Canceled) })
	assert.NotErrorIs(t, err, context.Canceled, "not an error that the function returned")

	defer slog.SetDefault(slog.Default())
	var log bytes.Buffer
	slog.SetDefault(slog.New(slog.NewTextHandler(&log, nil)))
	New("ratelimit", "rate limiter", nil).Call(t.Context(), "Cost", func() error { panicsHere(); return nil })
	assert.Contains(t, log.String(), "report.panicsHere")
}

func panicsHere() { panic("here") }

// panicsBelow panics with so many calls of itself on the stack.
func panicsBelow(calls int) {
	if calls == 0 {
		panicsHere()
	}
	panicsBelow(calls - 1)
}

// Once reports each problem once, also right after the log has shown another error.
func TestOnce(t *testing.T) {
	defer slog.SetDefault(slog.Default())
	var log bytes.Buffer
	slog.SetDefault(slog.New(slog.NewTextHandler(&log, nil)))
	var reported []string
	hooked := New("ratelimit", "rate limiter", func(_ context.Context, err error) { reported = append(reported, err.Error()) })
	for _, r := range []*Reporter{hooked, New("ratelimit", "rate limiter", nil)} {
		r.Report(t.Context(), errors.New("other"))
		for range 3 {
			r.Once(t.Context(), "a", errors.New("about a"))
			r.Once(t.Context(), 2, errors.New("about 2"))
		}
	}
	assert.Equal(t, []string{"other", "about a", "about 2"}, reported)
	assert.Equal(t, 3, strings.Count(log.String(), "\n"))
}
