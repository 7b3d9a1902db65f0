package refund

import (
	"context"
	"testing"

	"github.com/stretchr/testify/assert"
)

// charge is a context that notes its name when it is refunded.
type charge struct {
	context.Context
	name     string
	refunded *[]string
}

func (c charge) Value(key any) any {
	if key == (Key{}) {
		return c
	}
	return c.Context.Value(key)
}

func (c charge) Refund()                { *c.refunded = append(*c.refunded, c.name) }
func (c charge) Outer() context.Context { return c.Context }

func TestAllRefundsInnermostFirst(t *testing.T) {
	var refunded []string
	type other struct{}
	ctx := context.Context(charge{t.Context(), "outer", &refunded})
	ctx = context.WithValue(ctx, other{}, "of a handler between")
	ctx = charge{ctx, "middle", &refunded}
	ctx, cancel := context.WithCancel(charge{ctx, "inner", &refunded})
	defer cancel()
	All(ctx)
	assert.Equal(t, []string{"inner", "middle", "outer"}, refunded)
	assert.Equal(t, "of a handler between", ctx.Value(other{}))
}

func TestAllWithoutACharge(t *testing.T) {
	All(t.Context())
	All(context.WithValue(t.Context(), Key{}, "not a charge"))
}

func TestFrom(t *testing.T) {
	inner := charge{Context: charge{Context: t.Context(), name: "outer"}, name: "inner"}
	assert.Equal(t, inner, From(inner))
	assert.Nil(t, From(t.Context()))
}
