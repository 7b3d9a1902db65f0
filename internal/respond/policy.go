package respond

import (
	"fmt"
	"strconv"
	"time"
)

// MaxInteger is the largest Integer of a structured field (RFC 9651, section 3.3.1).
const MaxInteger = 999_999_999_999_999

// A Policy holds the constant texts and numbers of one limit.
type Policy struct {
	Member string // the quoted name, such as `"per-client"`
	Level  string // the beginning of a member of RateLimit, such as `"per-client";r=`
	Field  string // the member of RateLimit-Policy, such as `"per-client";q=100;w=60`
	Quota  int64  // tokens per window
	Window int64  // in seconds
}

// NewPolicy returns the Policy of a limit of count tokens per period. The period must be positive,
// and name must need no escapes between double quotes (RFC 9651, section 3.3.3).
//
// The window is the period in seconds, rounded up. If that makes it longer, the quota grows in
// proportion, up to [MaxInteger].
func NewPolicy(name string, count int64, period time.Duration) Policy {
	p := Policy{Member: `"` + name + `"`, Quota: count, Window: Seconds(period)}
	if period%time.Second != 0 {
		p.Quota = int64(min(float64(count)*(float64(p.Window)*1e9/float64(period)), MaxInteger))
	}
	p.Level = p.Member + ";r="
	quota := strconv.FormatInt(min(p.Quota, MaxInteger), 10)
	p.Field = p.Member + ";q=" + quota + ";w=" + strconv.FormatInt(p.Window, 10)
	return p
}

// PolicyName returns the name of limit number index, from 0 on, of a rule with several limits. If
// the limit is its only one, that is the name of the rule.
func PolicyName(rule string, index, several int) string {
	if several > 1 {
		return rule + "-" + strconv.Itoa(index+1)
	}
	return rule
}

// Names are names of limits, each with the rule that has it.
type Names map[string]string

// Add adds the names that the limits of a rule can have, if there are least to most. The error says
// that the limits of two rules would have one name.
func (n Names) Add(rule string, least, most int) (err error) {
	add := func(name string) {
		if other := n[name]; other != "" {
			err = fmt.Errorf("%q: fields of a response would name a limit %q, as one of rule %q: "+
				"want another name", rule, name, other)
		}
		n[name] = rule
	}
	if least <= 1 && most > 0 {
		add(PolicyName(rule, 0, 1))
	}
	for i := range most {
		if most > 1 {
			add(PolicyName(rule, i, most))
		}
	}
	return err
}

// ValidName reports whether name can be the name of a policy: 1 to 64 printable ASCII characters
// that need no escapes.
func ValidName(name string) bool {
	for i := range len(name) {
		if c := name[i]; c < ' ' || c > '~' || c == '"' || c == '\\' {
			return false
		}
	}
	return name != "" && len(name) <= 64
}
