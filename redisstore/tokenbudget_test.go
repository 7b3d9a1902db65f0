package redisstore_test

import (
	"testing"

	"github.com/ratelimit-go/ratelimit/redisstore"
	"github.com/ratelimit-go/ratelimit/redisstore/internal/redistest"
	"github.com/ratelimit-go/ratelimit/store"
	"github.com/ratelimit-go/ratelimit/tokenbudget/budgettest"
)

func TestTokenBudgetOfTwoInstances(t *testing.T) {
	server := redistest.Start(t)
	budgettest.TwoInstances(t, func(t testing.TB) store.Store {
		return newStore(t, server.Client(), redisstore.Config{})
	})
}
