package main

import (
	"context"
	"time"

	"github.com/go-redis/redis_rate/v10"
	"github.com/redis/go-redis/v9"
	"github.com/redis/rueidis"
	"github.com/throttled/throttled/v2"
	"github.com/throttled/throttled/v2/store/goredisstore.v9"
	"github.com/ulule/limiter/v3"
	ululeredis "github.com/ulule/limiter/v3/drivers/store/redis"

	"github.com/ratelimit-go/ratelimit"
	"github.com/ratelimit-go/ratelimit/redisstore"
	"github.com/ratelimit-go/ratelimit/redisstore/rueidisstore"
)

// take decides on one request of the key.
type take func(ctx context.Context, key string) error

const (
	perSecond  = "1_000_000 per second"
	threeTimes = perSecond + "; 10_000_000 per minute; 100_000_000 per hour"
)

// The rows that have goals.
const (
	ours      = "ratelimit"
	oursThree = "ratelimit, three limits on one key"
	oursOther = "ratelimit, through rueidis"
	redisRate = "redis_rate"
	ulule     = "ulule/limiter, which only counts"
)

// libraries returns the libraries. Their limits are so high that none of them denies.
func libraries(s *server, other rueidis.Client) ([]*library, error) {
	var libs []*library
	for _, o := range []struct {
		name, limits string
		other, alone bool
	}{
		{name: ours, limits: perSecond},
		{name: oursThree, limits: threeTimes},
		{name: "ratelimit, a script for each decision", limits: perSecond, alone: true},
		{name: oursOther, limits: perSecond, other: true},
		{
			name:   "ratelimit, through rueidis, a script for each decision",
			limits: perSecond, other: true, alone: true,
		},
	} {
		cfg := redisstore.Config{Sharded: o.alone}
		store, err := redisstore.New(s.client, cfg)
		if o.other {
			store, err = rueidisstore.New(other, cfg)
		}
		if err != nil {
			return nil, err
		}
		f, err := ourTake(store, "rule", o.limits)
		if err != nil {
			return nil, err
		}
		libs = append(libs, &library{name: o.name, take: f})
	}
	rateLimiter := redis_rate.NewLimiter(s.client)
	libs = append(libs, &library{name: redisRate, take: func(ctx context.Context, key string) error {
		_, err := rateLimiter.Allow(ctx, key, redis_rate.PerSecond(1_000_000))
		return err
	}})
	ululeStore, err := ululeredis.NewStoreWithOptions(s.client, limiter.StoreOptions{Prefix: "ulule"})
	if err != nil {
		return nil, err
	}
	counter := limiter.New(ululeStore, limiter.Rate{Period: time.Second, Limit: 1_000_000})
	libs = append(libs, &library{name: ulule, take: func(ctx context.Context, key string) error {
		_, err := counter.Get(ctx, key)
		return err
	}})
	throttledStore, err := goredisstore.NewCtx(s.client, "throttled")
	if err != nil {
		return nil, err
	}
	quota := throttled.RateQuota{MaxRate: throttled.PerSec(1_000_000), MaxBurst: 999_999}
	gcra, err := throttled.NewGCRARateLimiterCtx(throttledStore, quota)
	if err != nil {
		return nil, err
	}
	libs = append(libs, &library{name: "throttled", take: func(ctx context.Context, key string) error {
		_, _, err := gcra.RateLimitCtx(ctx, key, 1)
		return err
	}})
	return libs, nil
}

func ourTake(store ratelimit.Store, rule, limits string) (take, error) {
	l, err := newLimiter(store, rule, limits)
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context, key string) error {
		_, err := takeFrom(ctx, l, rule, key, 1)
		return err
	}, nil
}

// takeFrom is Take of a limiter. It also returns the failure of the store as an error.
func takeFrom(
	ctx context.Context, l *ratelimit.Limiter, rule, user string, cost int64,
) (ratelimit.Decision, error) {
	d, err := l.Take(ctx, rule, ratelimit.UserKey(user), cost)
	if err == nil {
		err = d.StoreErr
	}
	return d, err
}

func newLimiter(store ratelimit.Store, rule, limits string) (*ratelimit.Limiter, error) {
	return ratelimit.New(ratelimit.Config{
		Store: store, StoreTimeout: 10 * time.Second, OnStoreFailure: ratelimit.FailClosed,
		Hooks: ratelimit.Hooks{Error: func(context.Context, error) {}}, // takeFrom returns the errors
		Rules: []ratelimit.Rule{{Name: rule, Limits: ratelimit.MustParse(limits)}},
	})
}

func newStore(client redis.UniversalClient) *redisstore.Store {
	store, err := redisstore.New(client, redisstore.Config{})
	if err != nil {
		panic(err) // unreachable: the zero Config is valid
	}
	return store
}
