package mapstore_test

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"

	"github.com/ratelimit-go/ratelimit"
	mapstore "github.com/ratelimit-go/ratelimit/examples/store"
	"github.com/ratelimit-go/ratelimit/store"
	"github.com/ratelimit-go/ratelimit/storetest"
)

// This is all that it takes to test a store. A store behind a network runs in real time: see
// [storetest.Harness].
func TestStore(t *testing.T) {
	storetest.Run(t, storetest.Harness{
		New:    func(testing.TB) store.Store { return mapstore.New() },
		Around: synctest.Test,
	})
}

func Example() {
	limiter, err := ratelimit.New(ratelimit.Config{
		Store:          mapstore.New(),
		OnStoreFailure: ratelimit.FailOpen, // a choice that every store needs which can fail
		Rules:          []ratelimit.Rule{{Name: "logins", Limits: ratelimit.MustParse("2 per minute")}},
	})
	if err != nil {
		panic(err)
	}
	for range 3 {
		d, err := limiter.Take(context.Background(), "logins", ratelimit.UserKey("alice"), 1)
		fmt.Println(d.Allowed, d.Remaining, err)
	}
	// Output:
	// true 1 <nil>
	// true 0 <nil>
	// false 0 <nil>
}
