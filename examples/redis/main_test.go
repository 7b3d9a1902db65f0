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
	assert.Equal(t, `instance at A: allowed, 9 left for all instances
instance at B: allowed, 8 left for all instances
instance at C: allowed, 7 left for all instances
instance at A: allowed, 6 left for all instances
instance at B: allowed, 5 left for all instances
instance at C: allowed, 4 left for all instances
instance at A: allowed, 3 left for all instances
instance at B: allowed, 2 left for all instances
instance at C: allowed, 1 left for all instances
instance at A: allowed, 0 left for all instances
instance at B: denied with 429, retry after 6 s
instance at C: denied with 429, retry after 6 s
`, strings.NewReplacer(addrs[0], "A", addrs[1], "B", addrs[2], "C").Replace(out.String()))
}
