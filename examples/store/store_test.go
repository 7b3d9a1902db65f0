package store_test

import (
	"testing"
	"testing/synctest"

	"github.com/ratelimit-go/ratelimit"
	"github.com/ratelimit-go/ratelimit/examples/store"
	"github.com/ratelimit-go/ratelimit/storetest"
)

// This is all that it takes to test a store. A store behind a network runs in real time: see
// the fields of [storetest.Harness].
func TestTable(t *testing.T) {
	storetest.Run(t, storetest.Harness{
		New:    func(testing.TB) ratelimit.Store { return store.New() },
		Around: synctest.Test,
	})
}
