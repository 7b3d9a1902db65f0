package limittext_test

import (
	"math"
	"strings"
	"time"

	"github.com/ratelimit-go/ratelimit/internal/limittext"
	"github.com/ratelimit-go/ratelimit/internal/pace"
)

const day = 24 * time.Hour

// unlimited is the Limit whose text is "unlimited".
var unlimited = limittext.Limit{Count: math.MaxInt64, Period: 1}

// exact is the check of the root package for all limits that Parse can find.
func exact(l limittext.Limit) error { return pace.Check(l.Count, l.Period, l.Burst) }

func parse(text string) ([]limittext.Limit, *limittext.Error) { return limittext.Parse(text, exact) }

// format returns the limits as the root package prints them.
func format(limits []limittext.Limit) string {
	texts := make([]string, len(limits))
	for i, l := range limits {
		if l == unlimited {
			texts[i] = "unlimited"
		} else {
			texts[i] = limittext.Format(l)
		}
	}
	return strings.Join(texts, "; ")
}
