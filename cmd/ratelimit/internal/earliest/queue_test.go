package earliest

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
)

type number int

func (n *number) Before(other *number) bool { return *n < *other }

func TestItemsComeInTheirOrder(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 2))
	for n := range 50 {
		var q Queue[*number]
		var want, got []number
		for range n {
			x := number(random.IntN(30))
			q.Push(&x)
			want = append(want, x)
		}
		if n > 0 { // the first moves back
			*q.First() += 7
			q.Moved()
			want[slices.Index(want, slices.Min(want))] += 7
		}
		slices.Sort(want)
		for q.Len() > 0 {
			got = append(got, *q.Pop())
		}
		assert.Equal(t, want, got)
	}
}
