package replay

import (
	"context"
	"iter"
	"maps"
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
	Dry      []Applied          // rules in dry run that would have denied the request
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
	counted := d.Allowed // the limiter counts its rules
	for one := range rules {
		v.result.Applied = append(v.result.Applied, appliedOf(&one))
		if !d.Allowed {
			e.denials[one.Rule]++
			counted = counted || one.Rule == d.Rule
		}
	}
	if !counted { // a list, a block, a bound on the requests in flight, or no key
		e.denials[d.Rule]++
	}
}

func appliedOf(d *ratelimit.Decision) Applied {
	return Applied{d.Rule, d.Key, d.Remaining, !d.Allowed}
}

// Applied returns how many requests each rule applied to: allowed requests, and requests that were
// denied when it had decided. The name of the deny list is "".
func (e *Engine) Applied() map[string]int64 {
	applied := maps.Clone(e.denials)
	for _, r := range e.limiter.Stats().Rules {
		applied[r.Name] += r.Allowed
	}
	return applied
}

func (e *Engine) denied(r *http.Request, d ratelimit.Decision) {
	if v := visitOf(r); v != nil {
		v.result.Denied, v.result.Decision = true, d
	}
}

func (e *Engine) dryRun(r *http.Request, d ratelimit.Decision) {
	if v := visitOf(r); v != nil {
		v.result.Dry = append(v.result.Dry, appliedOf(&d))
	}
}

func (e *Engine) blocked(context.Context, ratelimit.Blocked) { e.blocks++ }

// Blocks returns how many blocks began.
func (e *Engine) Blocks() int64 { return e.blocks }

func (e *Engine) failed(_ context.Context, err error) {
	e.note(plain.Text(err.Error(), 300))
}
