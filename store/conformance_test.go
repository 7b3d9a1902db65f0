package store_test

import (
	"testing"
	"testing/synctest"

	"github.com/ratelimit-go/ratelimit/store"
	"github.com/ratelimit-go/ratelimit/storetest"
)

func TestExampleKeepsTheContract(t *testing.T) {
	storetest.Run(t, storetest.Harness{
		New:    func(testing.TB) store.Store { return NewMap() },
		Around: synctest.Test,
	})
}
