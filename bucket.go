package ratelimit

// A NamedLimit is one limit of one rule, checked and compiled for the arithmetic
// of its buckets. It is what an [Op] points to. It is immutable.
type NamedLimit struct {
	rule  string
	index int
	limit Limit
}

// NameLimit returns limit as the index-th limit of the named rule.
func NameLimit(rule string, index int, limit Limit) (*NamedLimit, error) {
	return &NamedLimit{rule: rule, index: index, limit: limit}, nil
}

// Rule returns the name of the rule that the limit belongs to.
func (l *NamedLimit) Rule() string { return l.rule }

// Index returns the position of the limit in its rule, from 0.
func (l *NamedLimit) Index() int { return l.index }

// Limit returns the numbers, Burst filled in.
func (l *NamedLimit) Limit() Limit { return l.limit }
