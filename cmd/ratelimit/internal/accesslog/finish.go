package accesslog

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"strings"
	"time"
)

// errNoRequest means that the server did not get a request, such as for a probe or a timeout.
var errNoRequest = errors.New("the line has no HTTP request")

// finish makes an Entry of r. If fullURL, a target such as "http://host:80/path" is how the log
// writes every request, and not how the client sent it.
func (r *raw) finish(e *Entry, fullURL bool) error {
	e.Duration, e.Timed, e.WholeSeconds = r.duration, r.timed, r.whole
	switch {
	case !r.start.IsZero():
		e.Time = r.once(r.start, e)
		if d := r.end.Sub(r.start); !r.timed && !r.end.IsZero() && d >= 0 && d <= maxDuration {
			e.Duration, e.Timed = d, true
		}
	case !r.end.IsZero():
		e.Time = r.once(r.end, e).Add(-r.duration)
	default:
		return errors.New("the line has no time")
	}
	if y := e.Time.Year(); y < 1970 || y > 2261 { // the nanoseconds have 63 bits
		return fmt.Errorf("the time is in the year %d", y)
	}
	if err := r.who(e); err != nil {
		return err
	}
	e.Status, e.Bytes = r.status, r.bytes
	return r.what(e, fullURL)
}

// once returns the first time at which the clocks showed t, if the line did not tell its zone.
func (r *raw) once(t time.Time, e *Entry) time.Time {
	if t.Location() != r.loc || r.loc == time.UTC {
		return t
	}
	before, after := twice(t)
	e.again = before + after
	return t.Add(-before)
}

// who finds the client.
func (r *raw) who(e *Entry) (err error) {
	e.User, e.Header = r.user, r.header
	if r.client == "" {
		r.client = r.peer
	}
	if r.client == "" {
		forwarded := r.header.Get("X-Forwarded-For")
		r.client = strings.TrimSpace(forwarded[strings.LastIndexByte(forwarded, ',')+1:])
	}
	if e.Client, err = parseAddr(r.client); err != nil {
		return err
	}
	e.Peer = e.Client
	if r.peer != "" {
		e.Peer, err = parseAddr(r.peer)
	}
	return err
}

// parseAddr reads an address, with or without a port.
func parseAddr(s string) (netip.Addr, error) {
	if strings.Count(s, ":") != 1 { // an error would cost more than the address
		if a, err := netip.ParseAddr(s); err == nil {
			return a, nil
		}
	}
	if ap, err := netip.ParseAddrPort(s); err == nil {
		return ap.Addr(), nil
	}
	if a, err := netip.ParseAddr(strings.Trim(s, "[]")); err == nil {
		return a, nil
	}
	if s == "" {
		return netip.Addr{}, errors.New("the line has no address of a client")
	}
	return netip.Addr{}, fmt.Errorf("the client is no address: %s", quote(s))
}

// setAddrPort reads an address and a port, also an IPv6 address without brackets.
func setAddrPort(r *raw, s string) error {
	if i := strings.LastIndexByte(s, ':'); i >= 0 && !strings.Contains(s, "]") {
		s = s[:i]
	}
	r.client = s
	return nil
}

// what finds the method and the target.
func (r *raw) what(e *Entry, fullURL bool) error {
	e.Method, e.Target, e.Proto, e.Host = r.method, r.target, r.proto, r.host
	if r.request != "" {
		method, rest, ok := strings.Cut(r.request, " ")
		target, proto, _ := cutLast(rest, " HTTP/")
		if !ok || target == "" {
			return fmt.Errorf("%w: %s", errNoRequest, quote(r.request))
		}
		e.Method, e.Target, e.Proto = method, target, proto
	}
	if r.args != "" && !strings.Contains(e.Target, "?") {
		e.Target += "?" + r.args
	}
	if e.Target == "" || !isToken(e.Method) {
		return fmt.Errorf("%w: method %s, target %s", errNoRequest, quote(e.Method), quote(e.Target))
	}
	return e.parseTarget(fullURL)
}

// parseTarget reads the target as net/http's server does. That server answers what it cannot read
// by itself, so such a request reaches no limiter.
func (e *Entry) parseTarget(fullURL bool) (err error) {
	text := e.Target
	authority := e.Method == "CONNECT" && !strings.HasPrefix(text, "/")
	if authority {
		text = "http://" + text
	}
	if e.URL, err = url.ParseRequestURI(text); err != nil {
		return fmt.Errorf("a server cannot read the target %s", quote(e.Target))
	}
	if authority {
		e.URL.Scheme = ""
	}
	if e.URL.Host == "" {
		return nil
	}
	if fullURL {
		e.Host = e.URL.Host
		if port := map[string]string{"http": ":80", "https": ":443"}[e.URL.Scheme]; port != "" {
			e.Host = strings.TrimSuffix(e.Host, port)
		}
		e.URL.Scheme, e.URL.Host = "", ""
		e.Target = e.URL.RequestURI()
		return nil
	}
	e.Host = e.URL.Host
	return nil
}

// cutLast is strings.Cut at the last sep, with the second part from the word after the space on.
func cutLast(s, sep string) (before, after string, found bool) {
	i := strings.LastIndex(s, sep)
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+1:], true
}

// isToken reports whether s can be a method (RFC 9110, section 9.1).
func isToken(s string) bool {
	for i := range len(s) {
		c := s[i]
		alnum := c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z' || c >= '0' && c <= '9'
		if !alnum && !strings.ContainsRune("!#$%&'*+-.^_`|~", rune(c)) {
			return false
		}
	}
	return s != ""
}
