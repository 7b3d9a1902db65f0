package tokenbudget_test

import (
	"testing"

	"github.com/ratelimit-go/ratelimit"
	"github.com/ratelimit-go/ratelimit/store"
	"github.com/ratelimit-go/ratelimit/tokenbudget/budgettest"
)

// The same test runs on servers in redisstore and postgresstore.
func TestTwoInstances(t *testing.T) {
	shared := ratelimit.NewMemoryStore(ratelimit.MemoryConfig{})
	budgettest.TwoInstances(t, func(testing.TB) store.Store { return shared })
}
