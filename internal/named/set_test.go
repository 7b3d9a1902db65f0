package named

import (
	"strconv"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestFind(t *testing.T) {
	var empty Set[int]
	assert.Zero(t, empty.Find("a"))
	for _, n := range []int{0, 1, maxFew, maxFew + 1, 100} {
		all := map[string]int{}
		for i := range n {
			all[strconv.Itoa(i)] = i + 1
		}
		s := NewSet(all)
		for i := range n {
			assert.Equal(t, i+1, s.Find(strconv.Itoa(i)))
		}
		assert.Zero(t, s.Find("a"))
		assert.Equal(t, all, s.All())
	}
}
