// Package report adds up what a replay decided, and prints it as text, JSON and SVG.
package report

import (
	"time"

	"github.com/ratelimit-go/ratelimit/cmd/ratelimit/internal/accesslog"
	"github.com/ratelimit-go/ratelimit/cmd/ratelimit/internal/share"
)

// A Report is the outcome of a replay. All its texts are safe to print.
type Report struct {
	Policy string    `json:"policy"`
	From   time.Time `json:"from,omitzero"`
	To     time.Time `json:"to,omitzero"`

	Requests int64 `json:"requests"`
	Denied   int64 `json:"denied"`
	Clients  Share `json:"clients"`
	Blocks   int64 `json:"blocks"` // that began

	Then    Then         `json:"then"`
	Rules   []Rule       `json:"rules"`
	Top     []Client     `json:"top_clients"`
	Against *Against     `json:"against,omitempty"`
	Log     Log          `json:"log"`
	Notes   []string     `json:"notes"`
	Time    Timeline     `json:"timeline"`
	Gate    *GateOutcome `json:"gate,omitempty"`
}

// Share is how many distinct clients there are, and how many were denied at least once.
type Share struct {
	Total  int64   `json:"total"`
	Denied int64   `json:"denied"`
	Share  float64 `json:"denied_share"` // from 0 to 1
}

// Then compares the decisions with what the log says was denied when it was written: the requests
// with status 429.
type Then struct {
	Denied  int64 `json:"denied_then"`
	Both    int64 `json:"denied_then_and_now"`
	OnlyNow int64 `json:"denied_only_now"`
}

// Rule is the count of one rule.
type Rule struct {
	Name    string `json:"name"`
	Applied int64  `json:"applied"`
	Denied  int64  `json:"denied"`  // requests that this rule denied, alone or as the strictest
	Dry     int64  `json:"dry_run"` // requests that this rule would have denied in its mode dry run
	Clients int64  `json:"denied_clients"`
	Missing int64  `json:"without_key"` // requests in which it found no key
}

// Client is a client that was denied.
type Client struct {
	Client   string           `json:"client"`
	Requests int64            `json:"requests"`
	Denied   int64            `json:"denied"`
	Rules    map[string]int64 `json:"rules"`
	First    Line             `json:"first"` // denied
	Last     Line             `json:"last"`  // denied
}

// Line is a line of a log.
type Line struct {
	File   string    `json:"file"`
	Number int64     `json:"line"`
	Time   time.Time `json:"time"`
	Text   string    `json:"text"` // its beginning
}

// Against compares with another policy.
type Against struct {
	Policy       string   `json:"policy"`
	Denied       int64    `json:"denied"`
	NewlyDenied  int64    `json:"newly_denied"`
	NewlyAllowed int64    `json:"newly_allowed"`
	Rules        []Change `json:"rules"`
	DeniedNow    int64    `json:"clients_newly_denied"`  // denied, and by the other policy never
	AllowedNow   int64    `json:"clients_newly_allowed"` // the reverse
	Top          []Client `json:"top_clients_newly_denied"`
}

// Change counts requests by the rule that denies them in one policy only.
type Change struct {
	Name         string `json:"name"`
	NewlyDenied  int64  `json:"newly_denied"`
	NewlyAllowed int64  `json:"newly_allowed"`
}

// Log says how the logs could be read.
type Log struct {
	Lines        int64               `json:"lines"`
	Unreadable   int64               `json:"unreadable"`
	Late         int64               `json:"late"`
	WholeSeconds int64               `json:"whole_seconds"`
	Timed        int64               `json:"with_duration"`
	Formats      []string            `json:"formats"`
	First        []accesslog.BadLine `json:"first_unreadable"`
}

// GateOutcome is whether few enough clients were denied. Without a request nothing is known, so the
// gate has not passed.
type GateOutcome struct {
	Max    float64 `json:"max_denied_clients"` // a share, from 0 to 1
	Most   int64   `json:"max_denied"`         // so many clients
	Passed bool    `json:"passed"`
}

// Check notes whether at most the given share of clients was denied, and returns it.
func (r *Report) Check(maxShare float64) bool {
	most := share.Of(maxShare, r.Clients.Total)
	r.Gate = &GateOutcome{maxShare, most, r.Requests > 0 && r.Clients.Denied <= most}
	return r.Gate.Passed
}
