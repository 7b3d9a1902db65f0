package main

import (
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestThreeInstancesShareOneLimit(t *testing.T) {
	var out strings.Builder
	require.NoError(t, demo(t.Context(), "", time.Minute, &out))
	addrs := regexp.MustCompile(`127\.0\.0\.1:\d+`).FindAllString(out.String(), 3)
	require.Len(t, addrs, 3)
	assert.Equal(t, `instance at A: admitted, 9 left of all
instance at B: admitted, 8 left of all
instance at C: admitted, 7 left of all
instance at A: admitted, 6 left of all
instance at B: admitted, 5 left of all
instance at C: admitted, 4 left of all
instance at A: admitted, 3 left of all
instance at B: admitted, 2 left of all
instance at C: admitted, 1 left of all
instance at A: admitted, 0 left of all
instance at B: refused with 429, retry after 6 s
instance at C: refused with 429, retry after 6 s
`, strings.NewReplacer(addrs[0], "A", addrs[1], "B", addrs[2], "C").Replace(out.String()))
}
