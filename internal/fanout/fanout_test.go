package fanout

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestFanOut(t *testing.T) {
	var told []string
	note := func(who string) func(string, int) {
		return func(a string, b int) { told = append(told, who+a+strings.Repeat("!", b)) }
	}
	note3 := func(who string) func(string, int, bool) {
		return func(a string, b int, _ bool) { note(who)(a, b) }
	}
	call := func(f func()) {
		defer func() { _ = recover() }()
		f()
	}
	bad := func(string, int) { panic("oh") }
	bad3 := func(string, int, bool) { panic("oh") }

	assert.Nil(t, Two[string, int](call))
	assert.Nil(t, Two[string, int](call, nil, nil))
	assert.Nil(t, Three[string, int, bool](call, nil))
	Two(call, nil, note("a"))("x", 1)
	Three(call, note3("b"), nil)("y", 2, true)
	Two(call, note("c"), bad, nil, note("d"))("z", 0)
	Three(call, bad3, note3("e"))("z", 0, true)
	assert.Equal(t, []string{"ax!", "by!!", "cz", "dz", "ez"}, told)
}
