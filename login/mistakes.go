package login

import (
	"errors"
	"strconv"
	"strings"

	"github.com/ratelimit-go/ratelimit"
)

// mistakes collects what is wrong in a [Config].
type mistakes []error

func (m *mistakes) add(field string, err error) {
	*m = append(*m, &ratelimit.ConfigError{Field: "login." + field, Err: text{err}})
}

// text is an error whose JSON is its text. The JSON of most errors is {}.
type text struct{ error }

func (t text) MarshalText() ([]byte, error) { return []byte(t.Error()), nil }

func (t text) Unwrap() error { return t.error }

// addRules adds the mistakes that a limiter has found in the rules of a [Guard], as mistakes in its
// [Config]. It adds the first mistake of each field, because rules share fields such as Mode.
func (m *mistakes) addRules(err error) {
	seen := map[string]bool{}
	for _, err := range unjoin(err) {
		var of *ratelimit.ConfigError
		if !errors.As(err, &of) {
			*m = append(*m, err)
			continue
		}
		field := fieldOf(of.Field)
		if !seen[field] {
			m.add(field, of.Err)
		}
		seen[field] = true
	}
}

// fieldOf returns the field of [Config] that has become a field of a rule, such as
// "With[1].Limits".
func fieldOf(field string) string {
	place, field, _ := strings.Cut(field, "].")
	_, index, _ := strings.Cut(place, "[")
	if i, err := strconv.Atoi(index); err == nil && i < len(limitsOf) && field == "Limits" {
		return limitsOf[i]
	}
	return field
}

// err returns all mistakes, joined.
func (m mistakes) err() error { return errors.Join(m...) }

// unjoin returns the errors that err joins, and that they join in turn. It returns none for nil.
func unjoin(err error) []error {
	joined, ok := err.(interface{ Unwrap() []error })
	switch {
	case err == nil:
		return nil
	case !ok:
		return []error{err}
	}
	var all []error
	for _, err := range joined.Unwrap() {
		all = append(all, unjoin(err)...)
	}
	return all
}
