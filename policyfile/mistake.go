package policyfile

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// A Mistake is one mistake in a policy file.
type Mistake struct {
	// Line and Column say where the mistake is, from 1 on. A column counts characters. Both are 0
	// if the mistake is not in the file but in the [Options].
	Line, Column int
	// Field is the field, such as "rules[0].limits". It is empty if the file cannot be read so far.
	Field string
	// Reason says what is wrong and what would be right.
	Reason string
}

// Error returns the place, the field and the reason, such as
// "12:9: rules[0].on_missing_key: unknown choice "shar": want share, deny or skip".
func (m *Mistake) Error() string {
	var b strings.Builder
	if m.Line > 0 {
		fmt.Fprintf(&b, "%d:%d: ", m.Line, m.Column)
	}
	if m.Field != "" {
		b.WriteString(m.Field + ": ")
	}
	return b.String() + m.Reason
}

// Mistakes are all mistakes in a policy file, in the order of their places. It is the error of
// [Parse].
type Mistakes []*Mistake

// Error returns the mistakes, one a line.
func (ms Mistakes) Error() string {
	lines := make([]string, len(ms))
	for i, m := range ms {
		lines[i] = m.Error()
	}
	return strings.Join(lines, "\n")
}

// Unwrap returns the mistakes.
func (ms Mistakes) Unwrap() []error {
	errs := make([]error, len(ms))
	for i, m := range ms {
		errs[i] = m
	}
	return errs
}

// sorted returns ms in the order of their places, without repetitions.
func (ms Mistakes) sorted() Mistakes {
	slices.SortStableFunc(ms, func(a, b *Mistake) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column),
			cmp.Compare(a.Field, b.Field))
	})
	return slices.CompactFunc(ms, func(a, b *Mistake) bool { return *a == *b })
}

// cut returns text quoted, and cut to 80 bytes.
func cut(text string) string {
	if len(text) > 80 {
		text = strings.ToValidUTF8(text[:80], "") + "..."
	}
	return fmt.Sprintf("%q", text)
}
