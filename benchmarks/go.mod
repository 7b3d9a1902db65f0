module github.com/ratelimit-go/ratelimit/benchmarks

go 1.25.0

require (
	github.com/didip/tollbooth/v8 v8.0.1
	github.com/go-chi/httprate v0.16.1
	github.com/jackc/pgx/v5 v5.13.0
	github.com/ratelimit-go/ratelimit v0.0.0
	github.com/redis/rueidis v1.0.79
	github.com/sethvargo/go-limiter v1.1.0
	github.com/throttled/throttled/v2 v2.15.0
	github.com/ulule/limiter/v3 v3.11.2
)

require (
	github.com/cespare/xxhash/v2 v2.3.0 // indirect
	github.com/jackc/pgpassfile v1.0.0 // indirect
	github.com/jackc/pgservicefile v0.0.0-20240606120523-5a60cdf6a761 // indirect
	github.com/jackc/puddle/v2 v2.2.3 // indirect
	go.uber.org/atomic v1.11.0 // indirect
	golang.org/x/sync v0.22.0 // indirect
	golang.org/x/text v0.41.0 // indirect
)

require (
	github.com/go-pkgz/expirable-cache/v3 v3.0.0 // indirect
	github.com/go-redis/redis_rate/v10 v10.0.1
	github.com/hashicorp/golang-lru v0.5.4 // indirect
	github.com/klauspost/cpuid/v2 v2.2.10 // indirect
	github.com/pkg/errors v0.9.1 // indirect
	github.com/ratelimit-go/ratelimit/postgresstore v0.0.0
	github.com/ratelimit-go/ratelimit/redisstore v0.0.0
	github.com/ratelimit-go/ratelimit/redisstore/rueidisstore v0.0.0
	github.com/redis/go-redis/v9 v9.22.0
	github.com/zeebo/xxh3 v1.1.0 // indirect
	golang.org/x/sys v0.47.0 // indirect
	golang.org/x/time v0.15.0 // indirect
)

replace github.com/ratelimit-go/ratelimit => ../

replace github.com/ratelimit-go/ratelimit/redisstore => ../redisstore

replace github.com/ratelimit-go/ratelimit/redisstore/rueidisstore => ../redisstore/rueidisstore

replace github.com/ratelimit-go/ratelimit/postgresstore => ../postgresstore
