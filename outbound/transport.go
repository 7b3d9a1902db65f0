package outbound

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/ratelimit-go/ratelimit/internal/inflight"
	"github.com/ratelimit-go/ratelimit/internal/report"
	"github.com/ratelimit-go/ratelimit/internal/told"
)

// A Transport is an [http.RoundTripper] that waits for its own rules and for what servers have
// said, and then sends the request. Create it with [New]. It is safe for concurrent use, starts no
// goroutines and does not need to be closed. It reads the clock and uses timers of package time
// only, so it works in [testing/synctest].
type Transport struct {
	cfg      Config
	reporter *report.Reporter
	lanes    *lanes
	noRoom   report.Onset
	waiting  *inflight.Counter // requests that wait for tokens of rules
}

// New returns a Transport for cfg. If cfg is invalid, the error joins one error per mistake. Each
// begins with the field, such as "outbound: MaxWait: ...".
func New(cfg Config) (*Transport, error) {
	filled, err := cfg.filled()
	if err != nil {
		return nil, err
	}
	return &Transport{
		cfg:      filled,
		reporter: report.New("outbound", "outbound transport", filled.OnError),
		lanes:    newLanes(filled.MaxKeys, filled.MaxPause),
		waiting:  inflight.NewCounter(),
	}, nil
}

// RoundTrip implements [http.RoundTripper]. It waits for the rules and for the server, sends the
// request by Config.Base, and learns from the response. If the request was denied and can be sent
// again, it waits and sends it again.
//
// The error is a *[WaitError] if the request was not sent because it would have to wait too long. A
// response that denies the request is returned as it is if it cannot be sent again in time.
func (t *Transport) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.URL == nil {
		return t.cfg.Base.RoundTrip(req) // which says what is wrong
	}
	key := t.key(req)
	l, release, room := t.lanes.use(key)
	defer release()
	if room != enough && t.noRoom.Begins(time.Now()) {
		what := "in use"
		if room == taken {
			what = "waiting, so waits are forgotten"
		}
		err := fmt.Errorf("outbound: all %d keys are %s: want a larger MaxKeys", t.cfg.MaxKeys, what)
		t.reporter.Report(req.Context(), err)
	}
	c := &call{Transport: t, lane: l, key: key, req: req}
	c.deadline = time.Now().Add(t.cfg.MaxWait)
	if d, ok := req.Context().Deadline(); ok && d.Before(c.deadline) {
		c.deadline, c.own = d, true
	}
	return c.do()
}

// CloseIdleConnections closes the idle connections of Config.Base, if it can.
func (t *Transport) CloseIdleConnections() {
	if base, ok := t.cfg.Base.(interface{ CloseIdleConnections() }); ok {
		base.CloseIdleConnections()
	}
}

// key returns the key of a request.
func (t *Transport) key(req *http.Request) (key string) {
	key = origin(req.URL)
	if t.cfg.ShareBy != nil {
		t.reporter.Call(req.Context(), "ShareBy", func() error { key = t.cfg.ShareBy(req); return nil })
	}
	return key
}

// origin returns the scheme and the host of u, in one spelling.
func origin(u *url.URL) string {
	scheme, host := strings.ToLower(u.Scheme), strings.ToLower(u.Host)
	switch scheme {
	case "http":
		host = strings.TrimSuffix(host, ":80")
	case "https":
		host = strings.TrimSuffix(host, ":443")
	}
	return scheme + "://" + host
}

// A call is one call of RoundTrip.
type call struct {
	*Transport

	lane     *lane
	key      string
	req      *http.Request
	deadline time.Time
	own      bool // the deadline is the deadline of the request
}

func (c *call) do() (*http.Response, error) {
	var last *http.Response
	for attempt := 0; ; attempt++ {
		ticket, err := c.wait()
		if err != nil {
			return c.unsent(last, err)
		}
		resp, a, err := c.send(ticket, attempt)
		if err != nil || !c.again(resp, a, attempt) {
			return resp, err
		}
		keep(resp)
		last = resp
		if err := c.backOff(a, attempt); err != nil {
			return nil, err
		}
	}
}

// unsent returns what RoundTrip returns if a request is not sent, or not sent again after the last
// response.
func (c *call) unsent(last *http.Response, err error) (*http.Response, error) {
	if last == nil && c.req.Body != nil {
		_ = c.req.Body.Close() // RoundTrip closes it in any case
	}
	var wait *WaitError
	if last != nil && errors.As(err, &wait) { // a WaitError says that nothing was sent
		return last, nil
	}
	return nil, err
}

// wait waits for the rules and for the server.
func (c *call) wait() (ticket, error) {
	taken, err := c.takeOwn()
	if err != nil {
		return ticket{}, err
	}
	t, err := c.lane.pass(c.req.Context(), c.deadline, c.cfg.MaxWaiting)
	if err != nil {
		taken.refund(c.req.Context())
		return ticket{}, c.because(err)
	}
	return t, nil
}

// because adds to a WaitError that the deadline of the request is the reason.
func (c *call) because(err error) error {
	var wait *WaitError
	if errors.As(err, &wait) && wait.Err == nil && c.own && wait.Until.After(c.deadline) {
		wait.Err = context.DeadlineExceeded
	}
	return err
}

// send sends the request once, and notes the answer.
func (c *call) send(t ticket, attempt int) (resp *http.Response, a answer, err error) {
	answered := false
	defer func() {
		if !answered { // also if Base panics
			c.lane.lost(t)
		}
	}()
	req, err := c.copy(attempt)
	if err != nil {
		return nil, a, err
	}
	if resp, err = c.cfg.Base.RoundTrip(req); err != nil {
		return resp, a, err
	}
	a, cut := read(resp, c.cfg.MaxPause)
	answered = true
	c.lane.answered(t, a)
	c.report(a, cut)
	return resp, a, nil
}

// report tells OnError what was wrong with an answer.
func (c *call) report(a answer, cut time.Duration) {
	for _, err := range a.Mistakes {
		c.reporter.Report(c.req.Context(), fmt.Errorf("outbound: response of %.100q: %w", c.key, err))
	}
	if cut > 0 {
		text := cut.String()
		if cut >= told.Never {
			text = "100 years or more"
		}
		c.reporter.Report(c.req.Context(), fmt.Errorf(
			"outbound: response of %.100q: wait of %s: cut to MaxPause, %v", c.key, text, c.cfg.MaxPause))
	}
}
