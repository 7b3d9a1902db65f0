// Package share has shares of a number, such as 0.1 % of the clients.
package share

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Parse reads a share from 0 to 1, such as "0.1%" or "0.001".
func Parse(text string) (float64, error) {
	number, isPercent := strings.CutSuffix(strings.TrimSpace(text), "%")
	number = strings.TrimSpace(number)
	n, err := strconv.ParseFloat(number, 64)
	if isPercent {
		if exact, err := strconv.ParseFloat(number+"e-2", 64); err == nil {
			n = exact // 0.7 / 100 is less than 0.007
		} else {
			n /= 100
		}
	}
	if err != nil || math.IsNaN(n) || n < 0 || n > 1 {
		return 0, fmt.Errorf("%q: want a share such as 0.1%%, from 0%% to 100%%", text)
	}
	return n, nil
}

// Percent returns a share with up to six digits, such as "0.7 %".
func Percent(share float64) string { return strconv.FormatFloat(share*100, 'g', 6, 64) + " %" }

// Of returns the greatest n that is at most the given share of total.
func Of(share float64, total int64) int64 {
	n := int64(share * float64(total)) // rounded, so it may be one less or one more
	if of := func(n int64) float64 { return float64(n) / float64(total) }; of(n) > share {
		n--
	} else if of(n+1) <= share {
		n++
	}
	return n
}
