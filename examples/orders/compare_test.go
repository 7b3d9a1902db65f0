package main

import (
	"encoding/xml"
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestShortComparison(t *testing.T) {
	c, err := compare(t.Context(), t.Output(), small, 1)
	require.NoError(t, err)
	without, with := c.rounds[0].without, c.rounds[0].with

	assert.Zero(t, c.summary(with.calm()).errors)
	for i, o := range with.outcomes {
		free := without.outcomes[i]
		t.Run(o.attack.name, func(t *testing.T) {
			assert.Positive(t, o.sent)
			assert.Zero(t, c.summary(o.under).errors, "honest requests that failed, with limits")
			assert.LessOrEqual(t, o.did.wrong(), o.bound(), "passwords checked, with limits")
			assert.Less(t, o.did.Database, free.did.Database, "what reaches the database")
			assert.LessOrEqual(t, o.did.Rows, free.did.Rows)
			assert.Zero(t, o.did.Admin, "requests that reach the handler for administrators")
			if o.attack.limit != "" && o.attack.limit != perService { // which other attacks share
				assert.GreaterOrEqual(t, o.did.wrong(), o.attack.bound(0, 0), "the limit allows its burst")
			}
			if o.attack.limit != "" {
				assert.Greater(t, free.did.wrong(), free.bound(), "without limits")
			}
		})
	}
	assert.Positive(t, without.outcomes[0].did.Guessed, "without limits the password is found")
	assert.Positive(t, without.outcomes[len(attacks)-1].did.Admin, "without limits the administrators' handler is reached")

	report := c.markdown("plot.svg")
	for _, a := range attacks {
		assert.Contains(t, report, "| "+a.name+" |")
		assert.Contains(t, report, a.what)
	}
	assertXML(t, c.svg())
}

func assertXML(t *testing.T, text string) {
	t.Helper()
	d := xml.NewDecoder(strings.NewReader(text))
	for {
		if _, err := d.Token(); err == io.EOF {
			return
		} else if !assert.NoError(t, err) {
			return
		}
	}
}
