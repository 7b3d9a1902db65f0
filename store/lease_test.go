package store_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit/store"
)

func TestCheckLeases(t *testing.T) {
	good := store.Lease{Rule: "r", Key: alice, Max: 1, TTL: time.Millisecond}
	noKey, noMax, noTTL, shortTTL := good, good, good, good
	noKey.Key, noMax.Max, noTTL.TTL, shortTTL.TTL = store.Key{}, 0, 0, time.Millisecond-1
	for _, row := range []struct {
		name string
		kind store.LeaseKind
		e    store.Lease
		want string // "" if it is valid
	}{
		{"acquire", store.Acquire, good, ""},
		{"renew", store.Renew, good, ""},
		{"renew needs no Max", store.Renew, noMax, ""},
		{"release", store.Release, good, ""},
		{"release needs no Max", store.Release, noMax, ""},
		{"release needs no TTL", store.Release, noTTL, ""},
		{"acquire without a key", store.Acquire, noKey, `leases[1] (rule "r") has the zero Key`},
		{"renew without a key", store.Renew, noKey, `leases[1] (rule "r") has the zero Key`},
		{"release without a key", store.Release, noKey, `leases[1] (rule "r") has the zero Key`},
		{"acquire without a Max", store.Acquire, noMax, `leases[1] (rule "r") has the Max 0`},
		{"acquire without a TTL", store.Acquire, noTTL, `leases[1] (rule "r") has the TTL 0s`},
		{"renew without a TTL", store.Renew, noTTL, `leases[1] (rule "r") has the TTL 0s`},
		{"a TTL below a millisecond", store.Acquire, shortTTL, `leases[1] (rule "r") has the TTL 999.999µs`},
		{"an unknown kind", store.Release + 1, good, "unknown kind of lease 3"},
	} {
		t.Run(row.name, func(t *testing.T) {
			err := store.CheckLeases(row.kind, []store.Lease{good, row.e})
			if row.want == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorIs(t, err, store.ErrInvalidOp)
			assert.EqualError(t, err, "store: invalid op: "+row.want)
		})
	}
	assert.NoError(t, store.CheckLeases(store.Acquire, nil))
	assert.Error(t, store.CheckLeases(store.Release+1, nil))
}
