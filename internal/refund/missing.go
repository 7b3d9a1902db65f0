package refund

// Missing counts tokens that a bucket lacked when a cost was raised, by index of the op. They must
// not be refunded, or raising and lowering a cost would make tokens. Nil means none.
type Missing []int64

// Of returns the tokens that op i lacked.
func (m Missing) Of(i int) int64 {
	if m == nil {
		return 0
	}
	return m[i]
}

// Raise notes that the cost of op i, one of n ops, was raised by cost. The bucket had some of it.
func (m *Missing) Raise(i, n int, cost, had int64) {
	if had >= cost {
		return
	}
	if *m == nil {
		*m = make(Missing, n)
	}
	(*m)[i] += cost - had
}

// Lower notes that the cost of op i was lowered by cost. It returns how much of it to refund.
func (m Missing) Lower(i int, cost int64) int64 {
	missing := min(m.Of(i), cost)
	if missing > 0 {
		m[i] -= missing
	}
	return cost - missing
}
