package redisstore_test

import (
	"testing"

	"github.com/ratelimit-go/ratelimit/redisstore/internal/redistest"
)

func TestReadmeCompiles(t *testing.T) {
	redistest.ReadmeCompiles(t, `package main

import (
	"log"

	"github.com/redis/go-redis/v9"

	"github.com/ratelimit-go/ratelimit"
	"github.com/ratelimit-go/ratelimit/redisstore"
)

func main() {
%s
	_ = limiter
}
`)
}
