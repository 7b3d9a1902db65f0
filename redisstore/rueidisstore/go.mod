module github.com/ratelimit-go/ratelimit/redisstore/rueidisstore

go 1.25.0

require (
	github.com/ratelimit-go/ratelimit v0.0.0-20261126082411-1cf0b8a9ff57
	github.com/ratelimit-go/ratelimit/redisstore v0.0.0-20261126082412-800f69bb244d
	github.com/redis/rueidis v1.0.79
	github.com/stretchr/testify v1.12.1
)

require (
	github.com/cespare/xxhash/v2 v2.3.0 // indirect
	github.com/redis/go-redis/v9 v9.22.0 // indirect
	go.uber.org/atomic v1.11.0 // indirect
	go.yaml.in/yaml/v3 v3.0.5 // indirect
	golang.org/x/sys v0.47.0 // indirect
	golang.org/x/time v0.15.0 // indirect
)

replace github.com/ratelimit-go/ratelimit => ../../

replace github.com/ratelimit-go/ratelimit/redisstore => ../
