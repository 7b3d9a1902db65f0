// Package mode reads and writes the text of the modes in which a rule can be.
package mode

import (
	"strconv"
	"strings"
)

// The modes that have no number.
const (
	Enforce = "enforce"
	DryRun  = "dry-run"
	Off     = "off"
)

const prefix = "enforce "

// Percent returns the mode that is Enforce for percent of all keys and DryRun for the others. It is
// one of these two if percent is not from 1 to 99.
func Percent(percent int) string {
	switch {
	case percent <= 0:
		return DryRun
	case percent >= 100:
		return Enforce
	}
	return prefix + strconv.Itoa(percent) + "%"
}

// Shown returns the mode to show: Off if the whole limiter is switched off.
func Shown(text string, off bool) string {
	if off {
		return Off
	}
	return text
}

// Parse returns Enforce, DryRun or Off, and for which percentage of keys a DryRun is enforced. The
// empty text is Enforce.
func Parse(text string) (base string, percent int, ok bool) {
	switch text {
	case "", Enforce:
		return Enforce, 100, true
	case DryRun, Off:
		return text, 0, true
	}
	digits, found := strings.CutPrefix(text, prefix)
	digits, percents := strings.CutSuffix(digits, "%")
	n, err := strconv.Atoi(digits)
	if !found || !percents || err != nil || text != Percent(n) {
		return "", 0, false
	}
	return DryRun, n, true
}
