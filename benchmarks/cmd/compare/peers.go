package main

import (
	"context"
	"net"
	"net/http"
	"time"

	"github.com/didip/tollbooth/v8"
	tolllimiter "github.com/didip/tollbooth/v8/limiter"
	"github.com/go-chi/httprate"
	"github.com/sethvargo/go-limiter/httplimit"
	"github.com/sethvargo/go-limiter/memorystore"
	"github.com/throttled/throttled/v2"
	"github.com/throttled/throttled/v2/store/memstore"
	ulule "github.com/ulule/limiter/v3"
	ululehttp "github.com/ulule/limiter/v3/drivers/middleware/stdlib"
	ululememory "github.com/ulule/limiter/v3/drivers/store/memory"

	"github.com/ratelimit-go/ratelimit"
)

// endless is a limit per hour that no row reaches. Rows that measure denials use 1.
const endless = 1_000_000_000

// A library is a subject of the comparison.
type library struct {
	name  string
	lacks string // what its decision does not do
	ours  bool

	// decider returns a function that decides on a key, for up to maxKeys keys.
	decider func(perHour, maxKeys int) func(key string) bool
	// middleware returns a middleware that limits by the address of the connection's peer.
	middleware func(perHour int) func(http.Handler) http.Handler
}

var libraries = []library{
	{name: "ratelimit", ours: true, decider: ourDecider, middleware: ourMiddleware},
	{
		name: "go-limiter", lacks: "fixed window; forgets keys by age", decider: goLimiterDecider,
		middleware: goLimiterMiddleware,
	},
	{
		name: "httprate", lacks: "sliding window estimate; the wait is always a whole window",
		decider: httprateDecider, middleware: httprateMiddleware,
	},
	{
		name: "throttled", lacks: "evicts keys at its cap, even if they have spent tokens",
		decider: throttledDecider, middleware: throttledMiddleware,
	},
	{
		name: "tollbooth", lacks: "no Retry-After; forgets keys by age", decider: tollboothDecider,
		middleware: tollboothMiddleware,
	},
	{
		name: "ulule/limiter", lacks: "fixed window; charges denied requests", decider: ululeDecider,
		middleware: ululeMiddleware,
	},
}

// loop is a library that does nothing. It measures the measurement itself.
var loop = library{
	name: "the loop alone",
	decider: func(int, int) func(string) bool {
		return func(key string) bool { return key[len(key)-1] != 0 }
	},
	middleware: func(int) func(http.Handler) http.Handler {
		return func(next http.Handler) http.Handler { return next }
	},
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}

func must[T any](v T, err error) T {
	check(err)
	return v
}

// ourLimiter returns a limiter with a rule per name. All of its rules count by the client address.
func ourLimiter(perHour, maxKeys int, names ...string) *ratelimit.Limiter {
	cfg := ratelimit.Config{Store: ratelimit.NewMemoryStore(ratelimit.MemoryConfig{MaxKeys: maxKeys})}
	for _, name := range names {
		limits := ratelimit.Limits{ratelimit.Per(int64(perHour), time.Hour)}
		cfg.Rules = append(cfg.Rules, ratelimit.Rule{Name: name, Limits: limits})
	}
	return must(ratelimit.New(cfg))
}

func ourDecider(perHour, maxKeys int) func(string) bool {
	l, ctx := ourLimiter(perHour, maxKeys, "per-client"), context.Background()
	return func(key string) bool {
		d, _ := l.Take(ctx, "per-client", ratelimit.UserKey(key), 1)
		return d.Allowed
	}
}

func ourMiddleware(perHour int) func(http.Handler) http.Handler {
	return ourLimiter(perHour, 0, "per-client").Handler
}

func goLimiterDecider(perHour, _ int) func(string) bool {
	s := must(memorystore.New(&memorystore.Config{Tokens: uint64(perHour), Interval: time.Hour}))
	ctx := context.Background()
	return func(key string) bool {
		_, _, _, ok, _ := s.Take(ctx, key)
		return ok
	}
}

func goLimiterMiddleware(perHour int) func(http.Handler) http.Handler {
	s := must(memorystore.New(&memorystore.Config{Tokens: uint64(perHour), Interval: time.Hour}))
	return must(httplimit.NewMiddleware(s, httplimit.IPKeyFunc())).Handle
}

func httprateDecider(perHour, _ int) func(string) bool {
	l := httprate.NewRateLimiter(perHour, time.Hour, httprate.WithResponseHeaders(httprate.ResponseHeaders{}))
	w, r := newWriter(), newRequest()
	return func(key string) bool { return !l.OnLimit(w, r, key) }
}

func httprateMiddleware(perHour int) func(http.Handler) http.Handler {
	byPeer := func(r *http.Request) (string, error) {
		host, _, err := net.SplitHostPort(r.RemoteAddr)
		return httprate.CanonicalizeIP(host), err
	}
	return httprate.LimitBy(perHour, time.Hour, byPeer)
}

func newThrottled(perHour, maxKeys int) *throttled.GCRARateLimiterCtx {
	store := must(memstore.NewCtx(maxKeys))
	quota := throttled.RateQuota{MaxRate: throttled.PerHour(perHour), MaxBurst: perHour - 1}
	return must(throttled.NewGCRARateLimiterCtx(store, quota))
}

func throttledDecider(perHour, maxKeys int) func(string) bool {
	l, ctx := newThrottled(perHour, maxKeys), context.Background()
	return func(key string) bool {
		limited, _, _ := l.RateLimitCtx(ctx, key, 1)
		return !limited
	}
}

func throttledMiddleware(perHour int) func(http.Handler) http.Handler {
	l := throttled.HTTPRateLimiterCtx{
		RateLimiter: newThrottled(perHour, 65536), VaryBy: &throttled.VaryBy{RemoteAddr: true},
	}
	return l.RateLimit
}

func newTollbooth(perHour int) *tolllimiter.Limiter {
	options := &tolllimiter.ExpirableOptions{DefaultExpirationTTL: time.Hour}
	l := tollbooth.NewLimiter(float64(perHour)/3600, options)
	l.SetBurst(perHour)
	l.SetIPLookup(tolllimiter.IPLookup{Name: "RemoteAddr"})
	return l
}

func tollboothDecider(perHour, _ int) func(string) bool {
	l := newTollbooth(perHour)
	return func(key string) bool {
		err, _ := tollbooth.LimitByKeysAndReturn(l, []string{key})
		return err == nil
	}
}

func tollboothMiddleware(perHour int) func(http.Handler) http.Handler {
	return tollbooth.HTTPMiddleware(newTollbooth(perHour))
}

func newUlule(perHour int) *ulule.Limiter {
	return ulule.New(ululememory.NewStore(), ulule.Rate{Period: time.Hour, Limit: int64(perHour)})
}

func ululeDecider(perHour, _ int) func(string) bool {
	l, ctx := newUlule(perHour), context.Background()
	return func(key string) bool {
		res, _ := l.Get(ctx, key)
		return !res.Reached
	}
}

func ululeMiddleware(perHour int) func(http.Handler) http.Handler {
	return ululehttp.NewMiddleware(newUlule(perHour)).Handler
}
