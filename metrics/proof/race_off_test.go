//go:build !race

package proof

// redisRequests is how many requests each client sends to a service with a Redis. The race detector
// makes each of them six times as slow.
const redisRequests = 10_000
