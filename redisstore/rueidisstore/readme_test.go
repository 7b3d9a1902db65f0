package rueidisstore_test

import (
	"testing"

	"github.com/ratelimit-go/ratelimit/redisstore/internal/redistest"
)

func TestReadmeCompiles(t *testing.T) {
	redistest.ReadmeCompiles(t, `package main

import (
	"log"

	"github.com/redis/rueidis"

	"github.com/ratelimit-go/ratelimit"
	"github.com/ratelimit-go/ratelimit/redisstore"
	"github.com/ratelimit-go/ratelimit/redisstore/rueidisstore"
)

func main() {
%s
	_ = limiter
}
`)
}
