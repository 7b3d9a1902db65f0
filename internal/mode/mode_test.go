package mode

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestParse(t *testing.T) {
	for text, want := range map[string]struct {
		base    string
		percent int
	}{
		"": {Enforce, 100}, "enforce": {Enforce, 100}, "dry-run": {DryRun, 0}, "off": {Off, 0},
		"enforce 1%": {DryRun, 1}, "enforce 99%": {DryRun, 99},
	} {
		base, percent, ok := Parse(text)
		assert.True(t, ok, text)
		assert.Equal(t, want.base, base, text)
		assert.Equal(t, want.percent, percent, text)
	}
	for _, text := range []string{
		"Enforce", "enforce ", "enforce 0%", "enforce 100%", "enforce 050%", "enforce 5", "enforce -1%", "enforce +1%", "5%",
	} {
		_, _, ok := Parse(text)
		assert.False(t, ok, text)
	}
}

func TestPercent(t *testing.T) {
	for percent, want := range map[int]string{-1: DryRun, 0: DryRun, 1: "enforce 1%", 99: "enforce 99%", 100: Enforce, 101: Enforce} {
		assert.Equal(t, want, Percent(percent))
	}
}
