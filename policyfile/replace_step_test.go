package policyfile_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit"
	"github.com/ratelimit-go/ratelimit/login"
	"github.com/ratelimit-go/ratelimit/shed"
	"github.com/ratelimit-go/ratelimit/store"
)

// A spy is a store that looks, each time that a limiter is compiled with it.
type spy struct {
	store.Store
	look func()
}

func (s *spy) Check([]*store.Limit) error {
	if s.look != nil {
		s.look()
	}
	return nil
}

// TestWatchHasOneStep looks at all parts in force whenever rules are compiled, which is in each
// step that replaces some.
func TestWatchHasOneStep(t *testing.T) {
	for name, c := range map[string]struct {
		text  string
		want  string
		inUse bool
	}{
		"every part":             {fmt.Sprintf(whole, "", 60, 10, 9), "[60 10 9]", true},
		"a decorator not in use": {fmt.Sprintf(whole, "192.0.2.1", 60, 10, 9), "[50 5 5]", false},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "policy.yaml")
			text := "store: {on_failure: closed}\n" + fmt.Sprintf(whole, "", 50, 5, 5)
			look := &spy{Store: ratelimit.NewMemoryStore(ratelimit.MemoryConfig{})}
			options := program()
			options.Config.Store = look
			s := serviceOf(t, path, text, options)
			if c.inUse {
				s.limiter.With(s.file.Decorators()["uploads"].Rules...)
			}
			guard, err := login.New(s.limiter, s.file.Logins()["login"].Config)
			require.NoError(t, err)
			s.target.Logins = map[string]*login.Guard{"login": guard}
			inForce := func() string {
				var counts []int64
				limits := map[string]string{}
				for _, r := range s.limiter.Stats().Rules {
					limits[r.Name] = r.Limits
				}
				for _, name := range []string{"per-client", "uploads", "login-pair"} {
					n := int64(5) // a decorator that is not in use
					if limits[name] != "" {
						n = ratelimit.MustParse(limits[name])[0].Count
					}
					counts = append(counts, n)
				}
				return fmt.Sprint(counts)
			}
			var seen []string
			look.look = func() { seen = append(seen, inForce()) }
			s.watch(t)
			write(t, path, "store: {on_failure: closed}\n"+c.text)
			s.next(t)
			require.NotEmpty(t, seen)
			assert.Equal(t, []string{"[50 5 5]"}, slices.Compact(seen), "no step comes after one that changes anything")
			assert.Equal(t, c.want, inForce())
		})
	}
}

func TestWatchReplacesTheShedder(t *testing.T) {
	const before = five + "shedder: {max_in_flight: 1}\n"
	path := filepath.Join(t.TempDir(), "policy.yaml")
	options := program()
	denied := 0
	options.Shedder.OnDenied = func(*http.Request, shed.Priority) { denied++ }
	options.Shedder.TargetLatency = time.Second
	s := serviceOf(t, path, before, options)
	cfg, ok := s.file.Shedder()
	require.True(t, ok)
	assert.Equal(t, time.Second, cfg.TargetLatency)
	shedder, err := shed.New(cfg)
	require.NoError(t, err)
	s.target.Shedder = shedder
	s.watch(t)
	nested := 0
	var h http.Handler
	h = shedder.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		nested++
		h.ServeHTTP(httptest.NewRecorder(), r)
	}))
	serve := func() (most, refused int) {
		nested, denied = 0, 0
		h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequestWithContext(t.Context(), "GET", "/", http.NoBody))
		return nested, denied
	}
	most, refused := serve()
	assert.Equal(t, []int{1, 1}, []int{most, refused})

	write(t, path, five+"shedder: {max_in_flight: 3}\n")
	require.NoError(t, s.next(t).Err)
	most, refused = serve()
	assert.Equal(t, []int{3, 1}, []int{most, refused}, "and OnDenied stays")

	write(t, path, "version: 1\nrules: [{name: x, limits: 1/s}, {name: x, limits: 1/s}]\nshedder: {max_in_flight: 5}\n")
	require.Error(t, s.next(t).Err)
	most, _ = serve()
	assert.Equal(t, 3, most)
	write(t, path, five)
	require.ErrorContains(t, s.next(t).Err, "1:1: shedder: has changed: needs a restart")
}
