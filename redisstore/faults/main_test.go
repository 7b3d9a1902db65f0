package faults

import (
	"context"
	"os"
	"testing"

	"github.com/redis/go-redis/v9"
)

// silent is the logger of the client: these tests break connections on purpose.
type silent struct{}

func (silent) Printf(context.Context, string, ...any) {}

func TestMain(m *testing.M) {
	redis.SetLogger(silent{})
	if os.Getenv(childEnv) != "" {
		childMain()
		return
	}
	os.Exit(m.Run())
}
