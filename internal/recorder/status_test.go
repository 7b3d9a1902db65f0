package recorder

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestStatusOf(t *testing.T) {
	for _, tc := range []struct {
		name     string
		answer   Answer
		panicked bool
		want     int
	}{
		{name: "written", answer: Answer{Status: 404}, want: 404},
		{name: "written before a panic", answer: Answer{Status: 404}, panicked: true, want: 404},
		{name: "nothing written", want: 0},
		{name: "a panic before anything was written", panicked: true, want: 500},
		{name: "hijacked", answer: Answer{Hijacked: true}, want: 101},
		{name: "hijacked before a panic", answer: Answer{Hijacked: true}, panicked: true, want: 101},
		{name: "hijacked after the upgrade was written", answer: Answer{Status: 101, Hijacked: true}, want: 101},
	} {
		assert.Equal(t, tc.want, tc.answer.StatusOf(tc.panicked), tc.name)
	}
}
