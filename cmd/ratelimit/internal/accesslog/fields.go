package accesslog

import (
	"fmt"
	"net/http"
	"net/textproto"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// raw is what the fields of a line say, before finish makes an Entry of them.
type raw struct {
	loc *time.Location // of times without a zone

	start, end time.Time // zero if the line does not say
	whole      bool
	duration   time.Duration
	timed      bool

	request              string // the whole request line
	method, target, args string
	proto, host          string
	client, peer, user   string
	header               http.Header
	status               int
	bytes                int64
}

// A setter notes the value of one field. An empty value and "-" never reach it.
type setter func(r *raw, value string) error

func ignore(*raw, string) error { return nil }

func text(field func(r *raw) *string) setter {
	return func(r *raw, s string) error { *field(r) = s; return nil }
}

// first is text for fields that have several names, of which the first in the line counts.
func first(field func(r *raw) *string) setter {
	return func(r *raw, s string) error {
		if p := field(r); *p == "" {
			*p = s
		}
		return nil
	}
}

// path reads a path that the server has decoded, or a target if it is one. Where both have the same
// text, it is a target.
func path(r *raw, s string) error {
	if _, err := url.ParseRequestURI(s); err != nil {
		s = (&url.URL{Path: s}).EscapedPath()
	}
	return first(targetOf)(r, s)
}

func requestOf(r *raw) *string { return &r.request }
func methodOf(r *raw) *string  { return &r.method }
func targetOf(r *raw) *string  { return &r.target }
func argsOf(r *raw) *string    { return &r.args }
func protoOf(r *raw) *string   { return &r.proto }
func hostOf(r *raw) *string    { return &r.host }
func clientOf(r *raw) *string  { return &r.client }
func peerOf(r *raw) *string    { return &r.peer }
func userOf(r *raw) *string    { return &r.user }

type timeParser func(s string, loc *time.Location) (time.Time, bool, error)

// startAt reads when a request began.
func startAt(parse timeParser) setter {
	return func(r *raw, s string) (err error) {
		if r.start.IsZero() {
			r.start, r.whole, err = parse(s, r.loc)
		}
		return err
	}
}

// endAt reads when a request ended. That is the time at which most servers write the line. Of
// several times the most precise counts.
func endAt(parse timeParser) setter {
	return func(r *raw, s string) error {
		t, whole, err := parse(s, r.loc)
		if err != nil {
			return err
		}
		if r.end.IsZero() || r.whole && !whole {
			r.end, r.whole = t, whole
		}
		return nil
	}
}

// lasting reads a duration. A value that is none is not known.
func lasting(unit time.Duration) setter {
	return func(r *raw, s string) error {
		if d, ok := parseDuration(s, unit); ok {
			r.duration, r.timed = d, true
		}
		return nil
	}
}

func headerField(name string) setter {
	name = textproto.CanonicalMIMEHeaderKey(name)
	return func(r *raw, s string) error { return addHeader(r, name, s) }
}

// addHeader notes a line of a header field.
func addHeader(r *raw, name, value string) error {
	if r.header == nil {
		r.header = make(http.Header, 2)
	}
	name = textproto.CanonicalMIMEHeaderKey(name)
	r.header[name] = append(r.header[name], value)
	return nil
}

// setStatus reads a status. HAProxy writes -1 if there was no response.
func setStatus(r *raw, s string) error {
	if s == "-1" {
		return nil
	}
	n, err := strconv.Atoi(s)
	if err != nil || n < 0 || n > 999 {
		return fmt.Errorf("no status: %s", quote(s))
	}
	if r.status == 0 {
		r.status = n
	}
	return nil
}

func setBytes(r *raw, s string) error {
	n, err := strconv.ParseInt(strings.TrimPrefix(s, "+"), 10, 64)
	if err != nil || n < 0 {
		return fmt.Errorf("no number of bytes: %s", quote(s))
	}
	r.bytes = n
	return nil
}

// setTimers reads the timers of HAProxy, such as "10/0/30/69/109". The last is the whole time.
func setTimers(r *raw, s string) error {
	last := s[strings.LastIndexByte(s, '/')+1:]
	return lasting(time.Millisecond)(r, strings.TrimPrefix(last, "+"))
}
