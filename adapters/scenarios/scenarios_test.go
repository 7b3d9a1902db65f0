package scenarios_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

// A scenario sends requests to a site and checks what matters about the responses.
type scenario struct {
	name string
	do   func(t *testing.T, r *run)
}

// Each framework answers every scenario as net/http does: status, fields, and bodies of denials.
// If a scenario has failures, it is repeated for each way in which the framework can fail.
func TestFrameworksAgree(t *testing.T) {
	for _, sc := range allScenarios() {
		t.Run(sc.name, func(t *testing.T) {
			t.Parallel()
			want := sc.run(t, netHTTP, netHTTP.ways[0])
			for _, f := range frameworks {
				t.Run(f.name, func(t *testing.T) {
					t.Parallel() // most of the time is waiting for fiber to shut down
					for _, w := range f.ways {
						t.Run(w.name, func(t *testing.T) {
							r := sc.run(t, f, w)
							assert.Equal(t, strings.Join(want.answers, "\n"), strings.Join(r.answers, "\n"))
							assert.Equal(t, want.reported, r.reported, "errors")
						})
						if !want.fails {
							break
						}
					}
				})
			}
		})
	}
}

func (sc scenario) run(t *testing.T, f framework, w way) *run {
	r := &run{t: t, framework: f, way: w}
	sc.do(t, r)
	assert.NotEmpty(t, r.answers)
	return r
}
