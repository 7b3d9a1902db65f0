package main

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

func TestBoundIsTheBurstAndTheTokensThatFlowIn(t *testing.T) {
	for limit, want := range map[string]int{
		"":                      0,
		"5 per 15 minutes":      5,
		"20 per hour burst 5":   5,
		"30 per minute burst 4": 4 + 30,
		"60 per minute":         60 + 60,
	} {
		assert.Equal(t, want, (&attack{limit: limit}).bound(time.Minute, 0), limit)
	}
	assert.Equal(t, 10, (&attack{limit: perAccount}).bound(time.Minute, 1), "after a login of the owner")
}
