// Package storefake has stores for tests: any function, and a store that can die.
package storefake

import (
	"context"
	"errors"
	"sync/atomic"

	"github.com/ratelimit-go/ratelimit/store"
)

// Func is a function as a [store.Store].
type Func func(ctx context.Context, ops []store.Op) error

// Apply calls f.
func (f Func) Apply(ctx context.Context, ops []store.Op) error { return f(ctx, ops) }

// A Mortal passes calls on to its Store, and counts them. While it is dead, each call fails.
type Mortal struct {
	store.Store
	Dead  atomic.Bool
	Calls atomic.Int64
}

// Apply implements [store.Store].
func (m *Mortal) Apply(ctx context.Context, ops []store.Op) error {
	m.Calls.Add(1)
	if m.Dead.Load() {
		return errors.New("connection refused")
	}
	return m.Store.Apply(ctx, ops)
}
