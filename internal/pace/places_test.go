package pace_test

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/ratelimit-go/ratelimit/internal/pace"
)

func TestPlaces(t *testing.T) {
	second, minute := pace.Limit{Count: 10, Period: time.Second}, pace.Limit{Count: 100, Period: time.Minute}
	hour, day := pace.Limit{Count: 1000, Period: time.Hour}, pace.Limit{Count: 10_000, Period: 24 * time.Hour}
	for _, row := range []struct {
		name   string
		limits []pace.Limit
		want   []int
	}{
		{"none", nil, []int{}},
		{"one", []pace.Limit{minute}, []int{0}},
		{"two", []pace.Limit{second, minute}, []int{1, 0}},
		{"a faster one more", []pace.Limit{second, minute, hour}, []int{1, 3, 0}},
		{"another faster one", []pace.Limit{minute, hour}, []int{3, 0}},
		{"a slower one more", []pace.Limit{second, minute, day}, []int{1, 3, 0}},
		{"all", []pace.Limit{second, minute, hour, day}, []int{1, 3, 5, 0}},
		{"one period twice", []pace.Limit{{Count: 20, Period: time.Second}, second, minute}, []int{2, 1, 0}},
		{"one rate, two bursts", []pace.Limit{{Count: 10, Period: time.Second, Burst: 5}, second}, []int{0, 1}},
		{"one rate, another period", []pace.Limit{second, {Count: 600, Period: time.Minute}}, []int{0, 3}},
	} {
		assert.Equal(t, row.want, pace.Places(row.limits), row.name)
	}
}

// Sixteen limits have sixteen places, and each has the same in any order.
func TestPlacesInAnyOrder(t *testing.T) {
	var limits []pace.Limit
	for i := range int64(16) {
		limits = append(limits, pace.Limit{Count: 100 + i, Period: time.Duration(1+i%3) * time.Hour})
	}
	want := pace.Places(limits)
	sorted := slices.Sorted(slices.Values(want))
	assert.Equal(t, []int{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}, sorted)
	slices.Reverse(limits)
	slices.Reverse(want)
	assert.Equal(t, want, pace.Places(limits))
}

// The slowest limit has place 0. The place of the other one shows its period.
func TestPlacesOfPeriods(t *testing.T) {
	const day = 24 * time.Hour
	slowest := pace.Limit{Count: 1, Period: 3650 * day}
	for _, row := range []struct {
		period time.Duration
		want   int
	}{
		{1, 1},
		{time.Second, 1},
		{time.Second + 1, 2},
		{time.Minute - 1, 2},
		{time.Minute, 3},
		{time.Minute + 1, 4},
		{time.Hour - 1, 4},
		{time.Hour, 5},
		{time.Hour + 1, 6},
		{day - 1, 6},
		{day, 7},
		{day + 1, 8},
		{7 * day, 8},
		{7*day + 1, 9},
		{31 * day, 9},
		{31*day + 1, 10},
		{365 * day, 10},
	} {
		places := pace.Places([]pace.Limit{slowest, {Count: 1000, Period: row.period}})
		assert.Equal(t, []int{0, row.want}, places, row.period)
	}
}
