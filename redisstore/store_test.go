package redisstore_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit"
	"github.com/ratelimit-go/ratelimit/redisstore"
	"github.com/ratelimit-go/ratelimit/redisstore/internal/redistest"
	"github.com/ratelimit-go/ratelimit/storetest"
)

func TestConformance(t *testing.T) {
	server := redistest.Start(t)
	storetest.Run(t, storetest.Harness{
		New: func(t testing.TB) ratelimit.Store {
			client := server.Client()
			require.NoError(t, client.FlushAll(context.Background()).Err())
			return newStore(t, client, redisstore.Config{})
		},
		Resolution: 5 * time.Millisecond,
	})
}
