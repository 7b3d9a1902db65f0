package report

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

func TestOnset(t *testing.T) {
	var o Onset
	now := time.Unix(0, 0)
	for _, tc := range []struct {
		after time.Duration
		want  bool
	}{
		{0, true},
		{0, false},
		{time.Hour - time.Second, false},
		{time.Hour - time.Second, false},
		{time.Hour + time.Second, true},
		{-2 * time.Hour, false},
	} {
		now = now.Add(tc.after)
		assert.Equal(t, tc.want, o.Begins(now), "%v", now)
	}
}
