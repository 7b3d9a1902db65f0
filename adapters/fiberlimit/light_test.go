package fiberlimit_test

import (
	"bufio"
	"context"
	"fmt"
	"iter"
	"net/http"
	"reflect"
	"strings"
	"sync"
	"testing"

	"github.com/gofiber/fiber/v3"
	"github.com/gofiber/fiber/v3/middleware/recover"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit"
	"github.com/ratelimit-go/ratelimit/adapters/fiberlimit"
	"github.com/ratelimit-go/ratelimit/clientip"
)

func plain(limits string) ratelimit.Rule {
	return ratelimit.Rule{Name: "plain", Limits: ratelimit.MustParse(limits)}
}

// secret sends a request all of whose texts contain the word.
func secret(t *testing.T, app *fiber.App, word string) int {
	status, _ := send(t, app, "GET", "/items/"+word+"?"+word, "", "Authorization", word, "X-"+word, word,
		"X-Forwarded-For", "192.0.2.1, "+word, "Accept", word+"/*")
	return status
}

// A limiter that shows no function of the user a request uses its memory again. Then nothing leads
// to it: not the context, which a handler can keep, nor anything that the limiter itself keeps.
func TestNothingLeadsToMemoryThatIsUsedAgain(t *testing.T) {
	limiter, err := ratelimit.New(ratelimit.Config{
		ClientIP: clientip.ForwardedFor(clientip.TrustedHops(1)),
		Rules: []ratelimit.Rule{
			plain("2 per hour"),
			{Name: "keys", Limits: ratelimit.MustParse("9 per hour"), Key: ratelimit.FirstOf(
				ratelimit.ByHeader("Authorization"), ratelimit.ByCookie("a"), ratelimit.ByPattern())},
		},
	})
	require.NoError(t, err)
	var kept []context.Context
	app := fiber.New()
	app.Get("/items/:id", fiberlimit.Handler(limiter), func(c fiber.Ctx) error {
		kept = append(kept, c.Context())
		return c.SendStatus(fiber.StatusNoContent)
	})
	for _, want := range []int{204, 204, 429, 429} {
		assert.Equal(t, want, secret(t, app, "seekrit"))
	}
	require.Len(t, kept, 2)
	assert.NotContains(t, texts(kept), "seekrit")
	assert.NotContains(t, texts(limiter), "seekrit")

	held := struct{ r *http.Request }{&http.Request{Header: http.Header{"X": {"seekrit"}}}}
	assert.Contains(t, texts(&held), "seekrit", "the search finds texts in maps behind pointers")
}

// texts returns all texts that v leads to.
func texts(v any) string {
	var all strings.Builder
	seen := map[[2]uintptr]bool{}
	var walk func(v reflect.Value)
	walk = func(v reflect.Value) {
		switch v.Kind() {
		case reflect.String:
			all.WriteString(v.String() + "\n")
		case reflect.Pointer:
			at := [2]uintptr{v.Pointer(), reflect.ValueOf(v.Type()).Pointer()}
			if !v.IsNil() && !seen[at] {
				seen[at] = true
				walk(v.Elem())
			}
		case reflect.Interface:
			walk(v.Elem())
		case reflect.Struct:
			for i := range v.NumField() {
				walk(v.Field(i))
			}
		case reflect.Slice, reflect.Array:
			if v.Type().Elem().Kind() == reflect.Uint8 && v.Kind() == reflect.Slice {
				all.Write(v.Bytes())
				return
			}
			for i := range v.Len() {
				walk(v.Index(i))
			}
		case reflect.Map:
			for at := v.MapRange(); at.Next(); {
				walk(at.Key())
				walk(at.Value())
			}
		default: // a number, a function or a channel
		}
	}
	walk(reflect.ValueOf(v))
	return all.String()
}

// What functions of the user see of a request, and keep, does not change. They see all of it.
func TestFunctionsOfTheUserKeepRequests(t *testing.T) {
	type site struct {
		keep func(r *http.Request)
		cfg  ratelimit.Config
	}
	deny := func(w http.ResponseWriter, _ *http.Request, d ratelimit.Decision) { w.WriteHeader(d.Status()) }
	for name, add := range map[string]func(s *site){
		"Key": func(s *site) {
			s.cfg.Rules[0].Key = ratelimit.ByUser(func(r *http.Request) string { s.keep(r); return r.PathValue("id") })
		},
		"part of a Key": func(s *site) {
			user := ratelimit.ByUser(func(r *http.Request) string { s.keep(r); return "" })
			s.cfg.Rules[0].Key = ratelimit.FirstOf(user, ratelimit.ByClientIP())
		},
		"Cost":   func(s *site) { s.cfg.Rules[0].Cost = func(r *http.Request) int64 { s.keep(r); return 1 } },
		"Skip":   func(s *site) { s.cfg.Rules[0].Skip = func(r *http.Request) bool { s.keep(r); return false } },
		"Exempt": func(s *site) { s.cfg.Exempt = func(r *http.Request) bool { s.keep(r); return false } },
		"Allow": func(s *site) {
			s.cfg.Allow = &ratelimit.List{Key: ratelimit.ByUser(func(r *http.Request) string { s.keep(r); return "" })}
			require.NoError(t, s.cfg.Allow.Replace(nil, ratelimit.UserKey("alice")))
		},
		"ClientIP": func(s *site) {
			s.cfg.ClientIP = clientip.ForwardedFor(clientip.TrustedHops(1).If(func(r *http.Request) bool { s.keep(r); return true }))
		},
		"Decided": func(s *site) {
			s.cfg.Hooks.Decided = func(r *http.Request, _ ratelimit.Decision, _ iter.Seq[ratelimit.Decision]) { s.keep(r) }
		},
		"Denied": func(s *site) {
			s.cfg.Rules[0].Limits = ratelimit.MustParse("1 per hour")
			s.cfg.Hooks.Denied = func(r *http.Request, _ ratelimit.Decision) { s.keep(r) }
		},
		"DenyHandler": func(s *site) {
			s.cfg.Rules[0].Limits = ratelimit.MustParse("1 per hour")
			s.cfg.DenyHandler = func(w http.ResponseWriter, r *http.Request, d ratelimit.Decision) { s.keep(r); deny(w, r, d) }
		},
		"DryRun": func(s *site) {
			s.cfg.Rules[0].Limits, s.cfg.Rules[0].Mode = ratelimit.MustParse("1 per hour"), ratelimit.DryRun
			s.cfg.Hooks.DryRun = func(r *http.Request, _ ratelimit.Decision) { s.keep(r) }
		},
		"CountOnly": func(s *site) {
			s.cfg.Rules[0].CountOnly = func(res ratelimit.Response) bool { s.keep(res.Request); return true }
		},
	} {
		t.Run(name, func(t *testing.T) {
			kept := map[*http.Request]bool{}
			s := site{cfg: ratelimit.Config{Rules: []ratelimit.Rule{plain("99 per hour")}}}
			s.keep = func(r *http.Request) { kept[r] = true }
			add(&s)
			limiter, err := ratelimit.New(s.cfg)
			require.NoError(t, err)
			app := fiber.New()
			app.Post("/:id", fiberlimit.Handler(limiter), func(c fiber.Ctx) error { return c.SendString("ok") })
			addr := serve(t, app)
			text := ""
			for i := range 9 {
				text += fmt.Sprintf("POST /%d HTTP/1.1\r\nHost: h%[1]d\r\nX-Id: %[1]d\r\nContent-Length: 1\r\n", i)
				if i == 8 {
					text += "Connection: close\r\n"
				}
				text += fmt.Sprintf("\r\n%d", i)
			}
			raw(t, addr, text)
			require.GreaterOrEqual(t, len(kept), 8)
			ids := map[string]bool{}
			for r := range kept {
				id := r.PathValue("id")
				ids[id] = true
				assert.Equal(t, "/"+id, r.URL.Path)
				assert.Equal(t, "/"+id, r.RequestURI)
				assert.Equal(t, "/:id", r.Pattern)
				assert.Equal(t, "h"+id, r.Host)
				assert.Equal(t, http.Header{"X-Id": {id}, "Content-Length": {"1"}}, without(r.Header, "Connection"))
				_, err := r.Body.Read(make([]byte, 1))
				assert.ErrorIs(t, err, http.ErrBodyReadAfterClose)
			}
			assert.GreaterOrEqual(t, len(ids), 8, "each request is another one")
		})
	}
}

// A DenyHandler may keep the header of its response, too.
func TestDenyHandlerKeepsItsHeader(t *testing.T) {
	var kept []http.Header
	limiter, err := ratelimit.New(ratelimit.Config{
		Rules: []ratelimit.Rule{plain("1 per hour")},
		DenyHandler: func(w http.ResponseWriter, r *http.Request, d ratelimit.Decision) {
			w.Header().Set("X-Id", r.PathValue("id"))
			kept = append(kept, w.Header())
			w.WriteHeader(d.Status())
		},
	})
	require.NoError(t, err)
	app := fiber.New()
	app.Get("/:id", fiberlimit.Handler(limiter), func(c fiber.Ctx) error { return c.SendString("ok") })
	for i := range 9 {
		send(t, app, "GET", fmt.Sprint("/", i), "")
	}
	require.Len(t, kept, 8)
	for i, h := range kept {
		assert.Equal(t, fmt.Sprint(i+1), h.Get("X-Id"))
	}
}

func without(h http.Header, name string) http.Header {
	h = h.Clone()
	h.Del(name)
	return h
}

// A hook that is added while requests are served keeps requests that do not change.
func TestHookThatIsAddedLate(t *testing.T) {
	limiter, err := ratelimit.New(ratelimit.Config{Rules: []ratelimit.Rule{plain("1000000 per hour")}})
	require.NoError(t, err)
	app := fiber.New()
	app.Get("/:id", fiberlimit.Handler(limiter), func(c fiber.Ctx) error { return c.SendString("ok") })
	var mu sync.Mutex
	var kept []*http.Request
	hooks := ratelimit.Hooks{Decided: func(r *http.Request, _ ratelimit.Decision, _ iter.Seq[ratelimit.Decision]) {
		mu.Lock()
		defer mu.Unlock()
		kept = append(kept, r)
	}}
	var clients sync.WaitGroup
	for client := range 4 {
		clients.Go(func() {
			for i := range 250 {
				id := fmt.Sprint(client*1000 + i)
				send(t, app, "GET", "/"+id, "", "X-Id", id)
			}
		})
	}
	for range 250 {
		stop := limiter.Observe(hooks)
		send(t, app, "GET", "/0", "", "X-Id", "0")
		stop()
	}
	clients.Wait()
	assert.GreaterOrEqual(t, len(kept), 250)
	for _, r := range kept {
		assert.Equal(t, "/"+r.Header.Get("X-Id"), r.URL.Path)
	}
}

// A rule that only takes tokens needs nothing when a stream ends. Its context lasts.
func TestStreamUnderAPlainRule(t *testing.T) {
	app := fiber.New()
	app.Use(recover.New(), fiberlimit.Handler(newLimiter(t, plain("5 per hour"))))
	app.Get("/stream", func(c fiber.Ctx) error {
		ctx := c.Context()
		return c.SendStreamWriter(func(w *bufio.Writer) {
			assert.NoError(t, ratelimit.SetCost(ctx, "plain", 3))
			d, ok := ratelimit.DecisionFrom(ctx)
			_, _ = fmt.Fprint(w, d.Rule, ok)
		})
	})
	app.Get("/left", func(c fiber.Ctx) error {
		d, _ := ratelimit.DecisionFrom(c.Context())
		return c.SendString(fmt.Sprint(d.Remaining))
	})
	_, text := send(t, app, "GET", "/stream", "")
	assert.Equal(t, "plaintrue", text)
	_, text = send(t, app, "GET", "/left", "")
	assert.Equal(t, "1", text)
}

// Requests with much text, or with many fields, leave nothing for the next one.
func TestLargeRequests(t *testing.T) {
	app := fiber.New(fiber.Config{ReadBufferSize: 64 << 10})
	key := ratelimit.Rule{Name: "key", Limits: ratelimit.MustParse("1 per hour"), Key: ratelimit.ByHeader("X-1")}
	app.Use(fiberlimit.Handler(newLimiter(t, key)))
	app.Get("/", func(c fiber.Ctx) error { return c.SendString("ok") })
	for round, n := range []int{1, 30, 100, 1, 0, 0} {
		fields := []string{}
		for i := range n {
			fields = append(fields, fmt.Sprint("X-", i+1), strings.Repeat("x", 100)+fmt.Sprint(round))
		}
		status, _ := send(t, app, "GET", "/", "", fields...)
		want := 200
		if round == 5 { // without the field all share a key
			want = 429
		}
		assert.Equal(t, want, status, round)
	}
}
