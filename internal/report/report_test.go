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
	})
}

func TestEveryChangeOfStateIsLogged(t *testing.T) {
	r := New("ratelimit", "rate limiter", nil)
	lines := logged(func() {
		r.Report(t.Context(), errors.New("the first error"))
		for range 2 {
			r.State(t.Context(), "store", "down", true)
			r.State(t.Context(), "store", "up", false)
		}
		r.Report(t.Context(), errors.New("the second error"))
	})
	assert.Equal(t, []string{
		`level=ERROR msg="rate limiter" error="the first error"`,
		`level=ERROR msg="rate limiter: store" state=down`,
		`level=INFO msg="rate limiter: store" state=up`,
		`level=ERROR msg="rate limiter: store" state=down`,
		`level=INFO msg="rate limiter: store" state=up`,
	}, lines)
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
	assert.LessOrEqual(t, len(traced.Stack()), maxStack)

	err = Safely(func() error { panic(strings.Repeat("x", 1<<20)) })
	assert.Len(t, err.Error(), maxPanic+len("..."))
	err = Safely(func() error { panic(context.Canceled) })
	assert.NotErrorIs(t, err, context.Canceled, "not an error that the function returned")

	defer slog.SetDefault(slog.Default())
	var log bytes.Buffer
	slog.SetDefault(slog.New(slog.NewTextHandler(&log, nil)))
	New("ratelimit", "rate limiter", nil).Call(t.Context(), "Cost", func() error { panicsHere(); return nil })
	assert.Contains(t, log.String(), "report.panicsHere")
}

func panicsHere() { panic("here") }

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
