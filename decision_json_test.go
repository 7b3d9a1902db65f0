package ratelimit_test

import (
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit"
	"github.com/ratelimit-go/ratelimit/shed"
	"github.com/ratelimit-go/ratelimit/store"
)

// What ends up in logs and in answers of an API has texts, not numbers or empty objects.
func TestEverythingHasATextInJSON(t *testing.T) {
	alice, failed := ratelimit.UserKey("alice"), &store.Error{Reason: store.ReasonDown, Err: errors.New("gone")}
	d := ratelimit.Decision{
		Reason: ratelimit.ReasonLimit, Rule: "r", Mode: ratelimit.DryRun, Limit: ratelimit.Per(5, time.Minute), Key: alice,
		StoreErr: failed,
	}
	blocked := ratelimit.Blocked{Rule: "r", Key: alice, Times: 2}
	change := ratelimit.Change{Kind: store.Refund, Rule: "r", Key: alice, Cost: 1}
	choices := []any{ratelimit.Draft7Headers, ratelimit.FailOpen, ratelimit.SkipRule}
	shedding := shed.Stats{Shed: map[shed.Priority]int64{shed.Critical: 1, shed.Sheddable: 2}}
	for want, v := range map[string]any{
		`{"Allowed":false,"Local":false,"Overflow":false,"Reason":"limit","Rule":"r","Mode":"dry-run","Limit":"5 per minute",
			"Key":"user:alice","Remaining":0,"RetryAfter":0,"ResetAfter":0,"StoreErr":"ratelimit: store: gone"}`: d,
		`{"Rule":"r","Key":"user:alice","Until":"0001-01-01T00:00:00Z","Times":2}`: blocked,
		`{"Kind":"Refund","Rule":"r","Key":"user:alice","Cost":1}`:                 change,
		`["draft-7","open","skip"]`:                                                choices,
		`{"Limit":0,"InFlight":0,"Shed":{"critical":1,"sheddable":2}}`:             shedding,
	} {
		got, err := json.Marshal(v)
		require.NoError(t, err)
		assert.JSONEq(t, want, string(got))
	}
}

// The errors of this package have texts in JSON too, also the errors inside of them, which have
// none by themselves.
func TestErrorsHaveATextInJSON(t *testing.T) {
	_, mistakes := ratelimit.New(ratelimit.Config{Instances: -1, Rules: []ratelimit.Rule{{Name: "r"}}})
	_, early := newLimiter(t, ratelimit.Config{}).Decorator()
	_, parse := ratelimit.Parse("10 per fortnight")
	denied := &ratelimit.DeniedError{Decision: ratelimit.Decision{
		Reason: ratelimit.ReasonStore, StoreErr: &store.Error{Err: errors.New("gone")},
	}}
	all := append(mistakes.(interface{ Unwrap() []error }).Unwrap(), early, parse, denied)
	for i, want := range []string{
		`{"Field":"Instances","Err":"-1: want 1 to 1000000, or 0 for 1"}`,
		`{"Field":"Rules[0].Limits","Err":"no limits: want for example MustParse(\"100 per minute\")"}`,
		`{"Field":"With","Err":"no rules: want at least one"}`,
	} {
		got, err := json.Marshal(all[i])
		require.NoError(t, err)
		assert.JSONEq(t, want, string(got))
	}
	list := &ratelimit.List{}
	for _, err := range append(all, mistakes, list.Replace([]string{"a", "b"}), &ratelimit.ConfigError{}, &store.Error{}) {
		got, failed := json.Marshal(err)
		require.NoError(t, failed)
		assert.NotContains(t, string(got), "{}", "%T", err)
	}
}
