package replay

import (
	"context"
	"iter"
	"net/http"

	"github.com/ratelimit-go/ratelimit"
	"github.com/ratelimit-go/ratelimit/cmd/ratelimit/internal/plain"
)

// A Result is what the limiter decided on one entry.
type Result struct {
	Client   ratelimit.Key // its address, as the policy counts addresses; zero if it has none
	Denied   bool
	Decision ratelimit.Decision // the denial, or else the last decision; zero if no rule applied
	Applied  []Applied          // the rules that decided
	Dry      []string           // rules in dry run that would have denied the request
}

// Applied is one rule that decided on an entry.
type Applied struct {
	Rule      string
	Key       ratelimit.Key
	Remaining int64
	Denied    bool
}

// Missing reports whether the rule found no key, and counted all such requests together.
func (a *Applied) Missing() bool { return a.Key == missing }

// missing is the key that requests without a key share.
var missing, _ = ratelimit.ParseKey("missing")

func (e *Engine) decided(r *http.Request, d ratelimit.Decision, rules iter.Seq[ratelimit.Decision]) {
	v := visitOf(r)
	if v == nil {
		return
	}
	v.result.Decision = d
	for one := range rules {
		v.result.Applied = append(v.result.Applied, Applied{one.Rule, one.Key, one.Remaining, !one.Allowed})
	}
}

func (e *Engine) denied(r *http.Request, d ratelimit.Decision) {
	if v := visitOf(r); v != nil {
		v.result.Denied, v.result.Decision = true, d
	}
}

func (e *Engine) dryRun(r *http.Request, d ratelimit.Decision) {
	if v := visitOf(r); v != nil {
		v.result.Dry = append(v.result.Dry, d.Rule)
	}
}

func (e *Engine) blocked(context.Context, ratelimit.Blocked) { e.blocks++ }

// Blocks returns how many blocks began.
func (e *Engine) Blocks() int64 { return e.blocks }

func (e *Engine) failed(_ context.Context, err error) {
	e.note(plain.Text(err.Error(), 300))
}
