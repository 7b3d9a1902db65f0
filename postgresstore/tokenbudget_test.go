package postgresstore_test

import (
	"testing"

	"github.com/ratelimit-go/ratelimit/postgresstore"
	"github.com/ratelimit-go/ratelimit/postgresstore/internal/pgtest"
	"github.com/ratelimit-go/ratelimit/store"
	"github.com/ratelimit-go/ratelimit/tokenbudget/budgettest"
)

func TestTokenBudgetOfTwoInstances(t *testing.T) {
	server := pgtest.Database(t)
	budgettest.TwoInstances(t, func(t testing.TB) store.Store { return newStore(t, server, postgresstore.Config{}) })
}
