package refund

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

// Tokens that the bucket lacked are lowered first, and not refunded.
func TestMissingTokensAreNotRefunded(t *testing.T) {
	var m Missing
	assert.Zero(t, m.Of(1))
	assert.Equal(t, int64(5), m.Lower(1, 5), "nothing is missing")
	m.Raise(1, 3, 4, 4)
	assert.Nil(t, m, "the bucket had all")
	m.Raise(1, 3, 10, 4)
	m.Raise(2, 3, 5, 0)
	assert.Equal(t, Missing{0, 6, 5}, m)
	assert.Equal(t, int64(0), m.Lower(1, 2))
	assert.Equal(t, int64(4), m.Of(1))
	assert.Equal(t, int64(3), m.Lower(1, 7))
	assert.Equal(t, int64(7), m.Lower(1, 7))
	assert.Equal(t, int64(1), m.Lower(0, 1))
	m.Raise(1, 3, 1, 0)
	assert.Equal(t, Missing{0, 1, 5}, m)
}
