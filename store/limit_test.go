package store_test

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit/store"
)

func TestNewLimit(t *testing.T) {
	l, err := store.NewLimit("login", 2, 100, time.Minute, 20)
	require.NoError(t, err)
	got := fmt.Sprint(l.Rule(), l.Index(), l.Count(), l.Period(), l.Burst())
	assert.Equal(t, fmt.Sprint("login", 2, 100, time.Minute, 20), got)
	assert.Equal(t, int64(100), limit(t, 100, time.Minute, 0).Burst(), "the burst is the count by default")
}

func TestNewLimitSaysWhatIsWrong(t *testing.T) {
	for _, row := range []struct {
		name   string
		index  int
		count  int64
		period time.Duration
		burst  int64
		want   string
	}{
		{"no count", 0, 0, time.Minute, 0, `store: rule "r": count 0: want at least 1`},
		{"no period", 0, 1, 0, 0, `store: rule "r": period 0s: want a positive time`},
		{"a negative burst", 0, 1, 1, -1, `store: rule "r": burst -1: want at least 1, or 0 for the same as the count`},
		{
			"too large a burst", 0, 1, day, math.MaxInt64,
			`store: rule "r": a bucket of 9223372036854775807 takes more than 100 years to fill: want a smaller burst`,
		},
		{"a negative index", -1, 1, time.Second, 0, `store: limit index -1 of rule "r": want 0 to 253`},
		{"too large an index", 254, 1, time.Second, 0, `store: limit index 254 of rule "r": want 0 to 253`},
	} {
		l, err := store.NewLimit("r", row.index, row.count, row.period, row.burst)
		assert.EqualError(t, err, row.want, row.name)
		assert.Nil(t, l, row.name)
	}
	_, err := store.NewLimit("r", 253, 1, time.Second, 0)
	assert.NoError(t, err)
}

// The ID is the same in every process: stores may write it down.
func TestLimitID(t *testing.T) {
	for _, rule := range []string{"", "r", "login", "a rule whose name is long"} {
		sum := sha256.Sum256([]byte(rule))
		for _, index := range []int{0, 1, 253} {
			l, err := store.NewLimit(rule, index, 1, time.Second, 0)
			require.NoError(t, err)
			assert.Equal(t, binary.LittleEndian.Uint64(sum[:])>>8, l.ID()>>8)
			assert.Equal(t, uint64(index+1), l.ID()&0xff)
			other, err := store.NewLimit(rule, index, 7, time.Hour, 9)
			require.NoError(t, err)
			assert.Equal(t, l.ID(), other.ID(), "the numbers do not count")
		}
	}
}
