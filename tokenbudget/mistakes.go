package tokenbudget

import (
	"errors"
	"fmt"
	"strings"

	"github.com/ratelimit-go/ratelimit"
	"github.com/ratelimit-go/ratelimit/internal/report"
)

// place is where in a Config a limit is: its Budget, and its index in Limits.
type place struct{ budget, limit int }

// translated returns the mistakes that a limiter has found as mistakes in the Config. The budgets
// of the limiter are the limits at the given places.
func translated(err error, of []place) error {
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		return err
	}
	var all []error
	for _, err := range joined.Unwrap() {
		var m *ratelimit.ConfigError
		if !errors.As(err, &m) {
			all = append(all, err)
			continue
		}
		field, text := "Limiter."+m.Field, m.Err
		var i int
		if n, _ := fmt.Sscanf(m.Field, "Budgets[%d].Limits", &i); n == 1 && i < len(of) {
			field = fmt.Sprintf("Budgets[%d].Limits", of[i].budget)
			_, what, _ := strings.Cut(m.Err.Error(), ": ") // it has one limit
			text = fmt.Errorf("limit %d: %s", of[i].limit, what)
		}
		all = append(all, &ratelimit.ConfigError{Field: field, Err: report.Text(text)})
	}
	return report.Join(all...)
}
