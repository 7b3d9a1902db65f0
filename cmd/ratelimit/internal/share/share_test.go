package share_test

import (
	"fmt"
	"math/big"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit/cmd/ratelimit/internal/share"
)

func TestParse(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]float64{
		"0": 0, "1": 1, "0.001": 0.001, " 0.1 % ": 0.001, "0.7%": 0.007, "29%": 0.29, "1e-1%": 0.001, "100%": 1,
	} {
		got, err := share.Parse(text)
		require.NoError(t, err, text)
		assert.Equal(t, want, got, text) //nolint:testifylint // the nearest number there is
	}
	for _, text := range []string{"", "%", "x", "NaN", "NaN%", "-1", "101%", "1.1", "Inf", "1%%"} {
		_, err := share.Parse(text)
		assert.ErrorContains(t, err, "want a share such as 0.1%", text)
	}
}

func TestPercent(t *testing.T) {
	t.Parallel()
	for s, want := range map[float64]string{0: "0 %", 1: "100 %", 0.007: "0.7 %", 0.00001: "0.001 %"} {
		assert.Equal(t, want, share.Percent(s))
	}
}

// TestOfIsExact compares with rational numbers.
func TestOfIsExact(t *testing.T) {
	t.Parallel()
	for percent := range 10_001 { // hundredths
		text := fmt.Sprintf("%d.%02d%%", percent/100, percent%100)
		s, err := share.Parse(text)
		require.NoError(t, err)
		for _, total := range []int64{0, 1, 7, 100, 1000, 10_000, 123_450_000, 1 << 40} {
			want := new(big.Int).Mul(big.NewInt(int64(percent)), big.NewInt(total))
			require.Equal(t, want.Div(want, big.NewInt(10_000)).Int64(), share.Of(s, total), "%s of %d", text, total)
		}
	}
}
