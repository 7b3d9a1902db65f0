package scenarios_test

import (
	"bufio"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/gofiber/fiber/v3"
	"github.com/gofiber/fiber/v3/middleware/adaptor"
	echo4 "github.com/labstack/echo/v4"
	"github.com/labstack/echo/v5"
	"github.com/stretchr/testify/require"
	"github.com/valyala/fasthttp"

	"github.com/ratelimit-go/ratelimit"
	"github.com/ratelimit-go/ratelimit/adapters/echo4limit"
	"github.com/ratelimit-go/ratelimit/adapters/echolimit"
	"github.com/ratelimit-go/ratelimit/adapters/fiberlimit"
	"github.com/ratelimit-go/ratelimit/adapters/ginlimit"
)

// A pair is a framework with a middleware of its own that does nothing, and with a limiter instead.

type pair struct {
	name           string
	plain, limited func()
}

// nowhere is a ResponseWriter that does nothing.
type nowhere struct{ header http.Header }

func (n nowhere) Header() http.Header         { return n.header }
func (n nowhere) WriteHeader(int)             {}
func (n nowhere) Write(b []byte) (int, error) { return len(b), nil }
func (n nowhere) Flush()                      {}

func (n nowhere) Hijack() (net.Conn, *bufio.ReadWriter, error) { return nil, nil, http.ErrNotSupported }

// pairs returns all frameworks with a limiter of rule, net/http first, for requests of path.
func pairs(tb testing.TB, rl ratelimit.Rule, path string) []pair {
	l, err := ratelimit.New(ratelimit.Config{Rules: []ratelimit.Rule{rl}})
	require.NoError(tb, err)
	return []pair{
		{
			"net/http", serveHTTP(tb, path, plainMux(func(h http.Handler) http.Handler { return h })),
			serveHTTP(tb, path, plainMux(l.Handler)),
		},
		{
			"gin", serveHTTP(tb, path, benchGin(func(c *gin.Context) { c.Next() })),
			serveHTTP(tb, path, benchGin(ginlimit.Handler(l))),
		},
		{"echo v5", serveHTTP(tb, path, benchEcho5(func(next echo.HandlerFunc) echo.HandlerFunc {
			return func(c *echo.Context) error { return next(c) }
		})), serveHTTP(tb, path, benchEcho5(echolimit.Handler(l)))},
		{"echo v4", serveHTTP(tb, path, benchEcho4(func(next echo4.HandlerFunc) echo4.HandlerFunc {
			return func(c echo4.Context) error { return next(c) }
		})), serveHTTP(tb, path, benchEcho4(echo4limit.Handler(l)))},
		{"fiber", serveFast(path, func(c fiber.Ctx) error { return c.Next() }), serveFast(path, fiberlimit.Handler(l))},
		{
			"fiber's adaptor", serveFast(path, func(c fiber.Ctx) error { return c.Next() }),
			serveFast(path, adaptor.HTTPMiddleware(l.Handler)),
		},
	}
}

func plainMux(m decorator) http.Handler {
	mux := http.NewServeMux()
	write := func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }
	mux.HandleFunc("GET /x", write)
	mux.HandleFunc("GET /items/{id}", write)
	return m(mux)
}

func benchGin(m gin.HandlerFunc) http.Handler {
	gin.SetMode(gin.ReleaseMode)
	engine := gin.New()
	engine.Use(m)
	write := func(c *gin.Context) { c.Status(http.StatusNoContent) }
	engine.GET("/x", write)
	engine.GET("/items/:id", write)
	return engine
}

func benchEcho5(m echo.MiddlewareFunc) http.Handler {
	e := echo.New()
	e.Use(m)
	write := func(c *echo.Context) error { return c.NoContent(http.StatusNoContent) }
	e.GET("/x", write)
	e.GET("/items/:id", write)
	return e
}

func benchEcho4(m echo4.MiddlewareFunc) http.Handler {
	e := echo4.New()
	e.Use(m)
	write := func(c echo4.Context) error { return c.NoContent(http.StatusNoContent) }
	e.GET("/x", write)
	e.GET("/items/:id", write)
	return e
}

// serveHTTP returns a function that serves one request. Each request is a copy, as in net/http.
func serveHTTP(tb testing.TB, path string, h http.Handler) func() {
	template, err := http.NewRequestWithContext(tb.Context(), http.MethodGet, path, nil)
	require.NoError(tb, err)
	template.RemoteAddr = "192.0.2.1:1234"
	template.Header = http.Header{"User-Agent": {"test"}, "Accept": {"*/*"}, "Accept-Encoding": {"gzip"}}
	w := nowhere{http.Header{}}
	return func() {
		clear(w.header)
		r := new(http.Request)
		*r = *template
		h.ServeHTTP(w, r)
	}
}

func noContent(c fiber.Ctx) error { c.Status(fiber.StatusNoContent); return nil }

func serveFast(path string, m fiber.Handler) func() {
	app := fiber.New()
	app.Use(m)
	app.Get("/x", noContent)
	app.Get("/items/:id", noContent)
	return serveApp(path, app)
}

// serveFastRoute is serveFast with m on the route, and more fields in the request.
func serveFastRoute(path string, m fiber.Handler, fields ...[2]string) func() {
	app := fiber.New()
	app.Get("/items/:id", m, noContent)
	return serveApp(path, app, fields...)
}

func serveApp(path string, app *fiber.App, fields ...[2]string) func() {
	handler := app.Handler()
	var ctx fasthttp.RequestCtx
	ctx.Init(&fasthttp.Request{}, nil, nil)
	ctx.Request.Header.SetMethod("GET")
	ctx.Request.SetRequestURI(path)
	fields = append(fields, [][2]string{{"Host", "x"}, {"User-Agent", "test"}, {"Accept", "*/*"}, {"Accept-Encoding", "gzip"}}...)
	for _, field := range fields {
		ctx.Request.Header.Set(field[0], field[1])
	}
	return func() {
		ctx.Response.Reset()
		ctx.ResetUserValues()
		handler(&ctx)
	}
}

// costRules are the kinds of rules whose cost differs.
var costRules = []ratelimit.Rule{
	{Name: "limit", Limits: ratelimit.MustParse("1000000000 per second")},
	{Name: "users", Limits: ratelimit.MustParse("1000000000 per second"), Key: ratelimit.ByUser(alice)},
	{Name: "failures", Limits: ratelimit.MustParse("1000000000 per second"), CountOnly: ratelimit.Failures},
}

// alice is the user of all requests. A function of the user sees them.
func alice(*http.Request) string { return "alice" }

// measure returns the shortest time per call of many rounds. A busy machine disturbs it least.
func measure(serve func()) time.Duration {
	best := time.Hour
	for range 200 {
		begin := time.Now()
		for range 500 {
			serve()
		}
		best = min(best, time.Since(begin)/500)
	}
	return best
}

// BenchmarkCost reports what an adapter costs beyond a middleware of the framework that does
// nothing and the limiter itself.
func BenchmarkCost(b *testing.B) {
	for _, rl := range costRules {
		for _, path := range []string{"/x", "/items/1"} {
			all := pairs(b, rl, path)
			limiter, allocs := all[0].cost(), all[0].allocs()
			for _, p := range all[1:] {
				b.Run(p.name+"/"+rl.Name+path, func(b *testing.B) {
					for b.Loop() {
						p.limited()
					}
					cost, n := p.cost(), p.allocs()
					b.ReportMetric(float64((cost - limiter).Nanoseconds()), "ns/adapter")
					b.ReportMetric(n-allocs, "allocs/adapter")
				})
			}
		}
	}
}

// cost returns how long a limiter takes for a request.
func (p pair) cost() time.Duration { return measure(p.limited) - measure(p.plain) }

// allocs returns how often a limiter allocates for a request.
func (p pair) allocs() float64 {
	return testing.AllocsPerRun(1000, p.limited) - testing.AllocsPerRun(1000, p.plain)
}
