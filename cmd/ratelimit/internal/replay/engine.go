// Package replay runs a real limiter over the entries of access logs, by the time of the logs.
package replay

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"time"

	"github.com/ratelimit-go/ratelimit"
	"github.com/ratelimit-go/ratelimit/cmd/ratelimit/internal/accesslog"
	"github.com/ratelimit-go/ratelimit/cmd/ratelimit/internal/earliest"
	"github.com/ratelimit-go/ratelimit/login"
)

// A Policy is what an Engine enforces.
type Policy struct {
	Config     ratelimit.Config
	Logins     map[string]Login
	Decorators map[string]Decorator
}

// A Login is a login route. Its Config needs no Account, because logs have none.
type Login struct {
	Config login.Config
	Routes []string
}

// A Decorator is rules for the handlers of some routes.
type Decorator struct {
	Rules  []ratelimit.Rule
	Routes []string
}

// Options say how to replay. The zero Options are valid.
type Options struct {
	// ClientFromLog takes the client of the log as the client, instead of the client that the
	// policy finds from the peer and the header fields that the log has.
	ClientFromLog bool
	// Enforce enforces all rules that are not off, in any mode.
	Enforce bool
	// Host is the host of requests for which the log names none. Without it, such a request meets
	// the rules of all hosts.
	Host string
}

// An Engine decides on entries by their time. Its methods are for one goroutine.
type Engine struct {
	policy Policy
	opts   Options

	limiter *ratelimit.Limiter
	handler http.Handler

	now     time.Time // of the clock
	started bool
	hold    bool                     // whether anything depends on the ends of requests
	hosts   bool                     // whether a route of the limiter has a host
	flights earliest.Queue[*carrier] // whose handlers have not returned
	idle    []*carrier
	held    int // bytes of the lines in flight
	order   int64
	blocks  int64
	notes   []string
	answer  answer
	applied []Applied        // of the last Result
	denials map[string]int64 // requests that were denied when a rule had decided, by rule
}

// New returns an Engine, or every mistake in the policy.
func New(policy Policy, opts Options) (*Engine, error) {
	e := &Engine{policy: policy, opts: opts, answer: answer{http.Header{}}, now: time.Unix(0, 0)}
	return e, e.build()
}

// build makes the limiter. It begins at the current time of the clock.
func (e *Engine) build() (err error) {
	e.notes, e.blocks, e.denials = nil, 0, map[string]int64{}
	cfg := &e.policy.Config
	patterns := slices.AppendSeq(slices.Clone(cfg.ExemptRoutes), maps.Keys(cfg.Routes))
	e.hosts = slices.ContainsFunc(patterns, hasHost)
	if e.limiter, err = ratelimit.New(e.adapt(e.policy.Config)); err != nil {
		return err
	}
	e.handler, err = e.program()
	e.handler = e.limiter.Handler(e.handler)
	return err
}

// program returns the program behind the limiter, with its logins and decorators. The requests of a
// decorator meet the decorator first, and then the login.
func (e *Engine) program() (http.Handler, error) {
	var h http.Handler = http.HandlerFunc(e.serveFinal)
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(e.policy.Logins)) {
		l := e.policy.Logins[name]
		cfg := l.Config
		cfg.Account = accountOf
		e.hold = true
		guard, err := login.New(e.limiter, cfg)
		if err == nil {
			e.note(fmt.Sprintf(
				"login %q: logs have no accounts. Attempts without a user have one account for each address.",
				name))
			h, err = e.route(fmt.Sprintf("login %q", name), l.Routes, guard.Handler, h)
		}
		errs = append(errs, err)
	}
	for _, name := range slices.Sorted(maps.Keys(e.policy.Decorators)) {
		d := e.policy.Decorators[name]
		with, err := e.limiter.Decorator(e.adaptRules(d.Rules)...)
		if err == nil {
			h, err = e.route(fmt.Sprintf("decorator %q", name), d.Routes, with, h)
		}
		errs = append(errs, err)
	}
	return h, errors.Join(errs...)
}

// serveFinal answers as the log says, when the log says.
func (e *Engine) serveFinal(w http.ResponseWriter, r *http.Request) {
	v := visitOf(r)
	if v.hold != nil {
		v.hold()
	}
	write(w, v.entry)
}

// Serve decides on the next entry. Entries must come in the order of their times: an earlier one is
// decided at the time of the entry before. The slices of the Result are valid until the next call.
func (e *Engine) Serve(entry *accesslog.Entry) (Result, error) {
	if !e.started {
		e.started, e.now = true, entry.Time
		if err := e.build(); err != nil {
			return Result{}, err
		}
	}
	e.endUntil(entry.Time)
	e.forward(entry.Time)
	v := newVisit(entry)
	v.result.Applied = e.applied[:0]
	r := request(v, e.opts)
	if r.Host == "" && e.hosts {
		e.note("Some lines name no host, so they meet the routes of every host: see -host.")
	}
	if client, err := e.limiter.ClientIP().Client(r); err == nil {
		v.result.Client = ratelimit.PrefixKey(client)
	}
	if end := entry.End(); e.hold && end.After(e.now) {
		e.serveHeld(v, r, end)
	} else {
		clear(e.answer.header)
		e.handler.ServeHTTP(&e.answer, r)
	}
	result := v.result
	v.result, e.applied = Result{}, result.Applied // the rest of the request must not change it
	return result, nil
}

// serveHeld serves a request until its handler is called, and keeps the rest for its end.
func (e *Engine) serveHeld(v *visit, r *http.Request, end time.Time) {
	c := e.carrier()
	if !c.begin(v, r) {
		e.idle = append(e.idle, c)
		return
	}
	c.end, c.order = end, e.order
	e.flights.Push(c)
	e.order++
	e.held += len(v.entry.Line)
	for e.flights.Len() > maxFlights || e.held > maxHeld {
		e.note("More than 100,000 requests, or 64 MiB of their lines, were in flight. Some ended early.")
		e.endFirst()
	}
}

// carrier returns an idle carrier, or a new one.
func (e *Engine) carrier() *carrier {
	last := len(e.idle) - 1
	if last < 0 {
		return newCarrier(e.handler)
	}
	c := e.idle[last]
	e.idle = e.idle[:last]
	return c
}

// Finish ends the requests that are in flight.
func (e *Engine) Finish() {
	for e.flights.Len() > 0 {
		e.endFirst()
	}
	for _, c := range e.idle {
		c.stop()
	}
	e.idle = nil
}

// Notes returns what a reader of the result should know. It is plain text.
func (e *Engine) Notes() []string { return e.notes }

const maxNotes = 20

func (e *Engine) note(text string) {
	if !slices.Contains(e.notes, text) && len(e.notes) < maxNotes {
		e.notes = append(e.notes, text)
	}
}
