package store_test

import (
	"encoding/json"
	"errors"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit/store"
)

// What ends up in logs and in answers of an API has names, not numbers or empty objects.
func TestTextInJSON(t *testing.T) {
	got, err := json.Marshal([]any{
		store.Take, store.Peek, store.Refund, store.Reset, store.TakeUpTo, store.Kind(9), store.Acquire, store.Renew, store.Release,
		store.LeaseKind(9), store.ReasonTimeout, store.Down, &store.Error{Reason: store.ReasonDown, Err: errors.New("gone")},
	})
	require.NoError(t, err)
	assert.JSONEq(t, `["Take","Peek","Refund","Reset","TakeUpTo","Kind(9)","Acquire","Renew","Release","LeaseKind(9)",
		"timeout","down","ratelimit: store: gone"]`, string(got))

	var kinds []store.Kind
	require.NoError(t, json.Unmarshal([]byte(`["Take","TakeUpTo"]`), &kinds))
	assert.Equal(t, []store.Kind{store.Take, store.TakeUpTo}, kinds)
	assert.ErrorContains(t, json.Unmarshal([]byte(`["take"]`), &kinds), `unknown kind "take"`)
}
