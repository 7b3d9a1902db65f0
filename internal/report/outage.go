package report

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"
)

// Decisions are numbers of decisions that a store did not make, by what decided instead.
type Decisions struct{ Open, Closed, Memory int64 }

// Policies are numbers of rules, by what decides while the store fails.
type Policies struct {
	Open, Closed, Memory int
	Instances            int // each enforces its part of the limits in memory
}

// Add counts a rule for which policy decides: "open", "closed" or "memory".
func (p *Policies) Add(policy string) {
	switch policy {
	case "open":
		p.Open++
	case "closed":
		p.Closed++
	case "memory":
		p.Memory++
	}
}

// String returns what decides while the store fails, such as "using in-memory limits, 1/3 each".
func (p Policies) String() string {
	var parts []string
	for _, one := range []struct {
		n    int
		text string
	}{
		{p.Memory, fmt.Sprintf("using in-memory limits, 1/%d each", max(p.Instances, 1))},
		{p.Open, "allowing requests without a limit"},
		{p.Closed, "denying requests with status 503"},
	} {
		if one.n > 0 && one.n < p.Memory+p.Open+p.Closed {
			parts = append(parts, fmt.Sprintf("%s (%d rules)", one.text, one.n))
		} else if one.n > 0 {
			parts = append(parts, one.text)
		}
	}
	return strings.Join(parts, "; ")
}

// outage is what is known of a store that is down.
type outage struct {
	mu    sync.Mutex
	down  bool
	began Decisions
}

// begins notes that the store is down, and reports whether it was not before.
func (o *outage) begins(soFar Decisions) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.down {
		return false
	}
	o.down, o.began = true, soFar
	return true
}

// ends notes that the store is up, and reports whether it was down, and the decisions before that.
func (o *outage) ends() (began Decisions, ends bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	ends, o.down = o.down, false
	return o.began, ends
}

// Down logs that the store is down, once until it is up: why, after how many failures in a row, and
// what decides now. So far are all decisions that it did not make.
func (r *Reporter) Down(
	ctx context.Context, reason string, err error, inARow int64, p Policies, soFar Decisions,
) {
	if !r.outage.begins(soFar) {
		return
	}
	slog.ErrorContext(ctx, r.message+": the store is down",
		"policy", p.String(),
		slog.Group("store", "state", "down", "reason", reason, "failures_in_a_row", inARow, "error", err))
}

// Up logs that the store is up, for how long it was not, and what decided meanwhile.
func (r *Reporter) Up(ctx context.Context, lasted time.Duration, soFar Decisions) {
	began, ends := r.outage.ends()
	if !ends {
		return
	}
	slog.InfoContext(ctx, r.message+": the store is up",
		slog.Group("store", "state", "up", "down_for", lasted.Round(time.Millisecond)),
		slog.Group("decided", "open", soFar.Open-began.Open, "closed", soFar.Closed-began.Closed,
			"memory", soFar.Memory-began.Memory))
}
