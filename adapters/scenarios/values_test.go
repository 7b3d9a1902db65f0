package scenarios_test

import (
	"iter"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit"
	"github.com/ratelimit-go/ratelimit/shed"
)

// A looker notes the path value that functions of the user see.
type looker struct{ seen atomic.Pointer[string] }

func (k *looker) look(r *http.Request) string {
	id := r.PathValue("id")
	k.seen.Store(&id)
	return id
}

func (k *looker) decided(r *http.Request, _ ratelimit.Decision, _ iter.Seq[ratelimit.Decision]) {
	k.look(r)
}

// around is middleware of the user.
func (k *looker) around(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		k.look(r)
		next.ServeHTTP(w, r)
	})
}

// byKey returns a rule whose key is the path value.
func (k *looker) byKey() ratelimit.Rule {
	rl := rule("all", "9 per minute")
	rl.Key = ratelimit.ByValue("id", k.look)
	return rl
}

// Every function of the user sees the path parameters as path values, whenever it was added: the
// last of three requests is seen. The functions of middleware see them, too.
func TestFunctionsSeePathValues(t *testing.T) {
	limiter := func(t *testing.T, edit func(cfg *ratelimit.Config)) *ratelimit.Limiter {
		cfg := ratelimit.Config{Rules: []ratelimit.Rule{rule("all", "2 per minute")}}
		edit(&cfg)
		l, err := ratelimit.New(cfg)
		require.NoError(t, err)
		return l
	}
	plain := func(*ratelimit.Config) {}
	of := func(edit func(k *looker, cfg *ratelimit.Config)) func(*testing.T, *looker) (decorator, func()) {
		return func(t *testing.T, k *looker) (decorator, func()) {
			return limiter(t, func(cfg *ratelimit.Config) { edit(k, cfg) }).Handler, func() {}
		}
	}
	// The returned function is called before the last request.
	for name, build := range map[string]func(*testing.T, *looker) (decorator, func()){
		"Key": of(func(k *looker, cfg *ratelimit.Config) { cfg.Rules[0] = k.byKey() }),
		"Skip": of(func(k *looker, cfg *ratelimit.Config) {
			cfg.Rules[0].Skip = func(r *http.Request) bool { return k.look(r) == "" }
		}),
		"Cost": of(func(k *looker, cfg *ratelimit.Config) {
			cfg.Rules[0].Cost = func(r *http.Request) int64 { k.look(r); return 1 }
		}),
		"Exempt": of(func(k *looker, cfg *ratelimit.Config) {
			cfg.Exempt = func(r *http.Request) bool { return k.look(r) == "" }
		}),
		"Decided": of(func(k *looker, cfg *ratelimit.Config) { cfg.Hooks.Decided = k.decided }),
		"Denied": of(func(k *looker, cfg *ratelimit.Config) {
			cfg.Hooks.Denied = func(r *http.Request, _ ratelimit.Decision) { k.look(r) }
		}),
		"DryRun": of(func(k *looker, cfg *ratelimit.Config) {
			cfg.Rules[0].Mode = ratelimit.DryRun
			cfg.Hooks.DryRun = func(r *http.Request, _ ratelimit.Decision) { k.look(r) }
		}),
		"DenyHandler": of(func(k *looker, cfg *ratelimit.Config) {
			cfg.DenyHandler = func(w http.ResponseWriter, r *http.Request, d ratelimit.Decision) {
				k.look(r)
				w.WriteHeader(d.Status())
			}
		}),
		"CountOnly": of(func(k *looker, cfg *ratelimit.Config) {
			cfg.Rules[0].CountOnly = func(res ratelimit.Response) bool { return k.look(res.Request) == "" }
		}),
		"a decorator": func(t *testing.T, k *looker) (decorator, func()) {
			return limiter(t, func(cfg *ratelimit.Config) { cfg.Rules = nil }).With(k.byKey()), func() {}
		},
		"Observe": func(t *testing.T, k *looker) (decorator, func()) {
			l := limiter(t, plain)
			return l.Handler, func() { l.Observe(ratelimit.Hooks{Decided: k.decided}) }
		},
		"Observe during the request": func(t *testing.T, k *looker) (decorator, func()) {
			var l *ratelimit.Limiter
			var armed atomic.Bool
			l = limiter(t, func(cfg *ratelimit.Config) {
				cfg.Clock = func() time.Time {
					if armed.CompareAndSwap(true, false) {
						l.Observe(ratelimit.Hooks{Decided: k.decided})
					}
					return now
				}
			})
			return l.Handler, func() { armed.Store(true) }
		},
		"SetRules": func(t *testing.T, k *looker) (decorator, func()) {
			l := limiter(t, plain)
			return l.Handler, func() { require.NoError(t, l.SetRules(k.byKey())) }
		},
		"middleware": func(_ *testing.T, k *looker) (decorator, func()) { return k.around, func() {} },
		"middleware around a limiter": func(t *testing.T, k *looker) (decorator, func()) {
			l := limiter(t, plain)
			return func(next http.Handler) http.Handler { return k.around(l.Handler(next)) }, func() {}
		},
		"middleware inside of a limiter": func(t *testing.T, k *looker) (decorator, func()) {
			l := limiter(t, func(cfg *ratelimit.Config) { cfg.Rules = nil })
			return func(next http.Handler) http.Handler { return l.Handler(k.around(next)) }, func() {}
		},
		"a shedder": func(t *testing.T, k *looker) (decorator, func()) {
			s, err := shed.New(shed.Config{MaxInFlight: 9, Exempt: func(r *http.Request) bool { return k.look(r) == "" }})
			require.NoError(t, err)
			return s.Handler, func() {}
		},
	} {
		t.Run(name, func(t *testing.T) {
			for _, f := range frameworks {
				t.Run(f.name, func(t *testing.T) {
					t.Parallel()
					k := new(looker)
					with, before := build(t, k)
					r := &run{t: t, framework: f}
					r.start(get("/items/{id}", ok, with))
					r.send("GET", "/items/1", "")
					r.send("GET", "/items/2", "")
					before()
					r.send("GET", "/items/3", "")
					id := k.seen.Load()
					require.NotNil(t, id, "no function was called")
					assert.Equal(t, "3", *id)
				})
			}
		})
	}
}
