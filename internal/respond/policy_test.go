package respond

import (
	"math"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

func TestNewPolicy(t *testing.T) {
	for _, tc := range []struct {
		name   string
		count  int64
		period time.Duration
		want   Policy
	}{
		{
			name: "whole seconds", count: 10, period: time.Minute,
			want: Policy{Member: `"r"`, Level: `"r";r=`, Field: `"r";q=10;w=60`, Quota: 10, Window: 60},
		},
		{
			name: "half a second becomes a second", count: 5, period: time.Second / 2,
			want: Policy{Member: `"r"`, Level: `"r";r=`, Field: `"r";q=10;w=1`, Quota: 10, Window: 1},
		},
		{
			name: "the quota of a longer window is rounded down", count: 1, period: 1500 * time.Millisecond,
			want: Policy{Member: `"r"`, Level: `"r";r=`, Field: `"r";q=1;w=2`, Quota: 1, Window: 2},
		},
		{
			name: "nanoseconds", count: 3, period: 7,
			want: Policy{Member: `"r"`, Level: `"r";r=`, Field: `"r";q=428571428;w=1`, Quota: 428_571_428, Window: 1},
		},
		{
			name: "a field shows at most 15 digits", count: math.MaxInt64, period: time.Second,
			want: Policy{Member: `"r"`, Level: `"r";r=`, Field: `"r";q=999999999999999;w=1`, Quota: math.MaxInt64, Window: 1},
		},
		{
			name: "a quota that no field can show", count: 3 << 61, period: 1 << 31,
			want: Policy{Member: `"r"`, Level: `"r";r=`, Field: `"r";q=999999999999999;w=3`, Quota: MaxInteger, Window: 3},
		},
		{
			name: "the longest period", count: 1, period: math.MaxInt64,
			want: Policy{Member: `"r"`, Level: `"r";r=`, Field: `"r";q=1;w=9223372037`, Quota: 1, Window: 9_223_372_037},
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			assert.Equal(t, tc.want, NewPolicy("r", tc.count, tc.period))
		})
	}
}

func TestValidName(t *testing.T) {
	for name, want := range map[string]bool{
		"": false, "per-client": true, "a b": true, "~": true, "a\n": false, `a"`: false, `a\`: false, "é": false, "\x7f": false,
		strings.Repeat("x", 64): true, strings.Repeat("x", 65): false,
	} {
		assert.Equal(t, want, ValidName(name), "%q", name)
	}
}
