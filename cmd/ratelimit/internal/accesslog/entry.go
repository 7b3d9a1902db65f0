// Package accesslog reads the access logs of web servers, proxies and services: their lines, files
// and order in time.
package accesslog

import (
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"time"
)

// Entry is one request of a log.
type Entry struct {
	Time         time.Time     // when the request began, or what the log has instead
	Duration     time.Duration // how long it took; 0 if the log does not say
	Timed        bool          // whether the log has a duration
	WholeSeconds bool          // whether the log has whole seconds only

	Method string
	URL    *url.URL
	Target string // the request target, such as "/orders?limit=10"
	Host   string // without Host, ""
	Proto  string // such as "HTTP/1.1"; may be ""

	Client netip.Addr  // the client, as the server that wrote the log found it
	Peer   netip.Addr  // the peer of the connection, if the log has it too; otherwise Client
	User   string      // the user that the server authenticated; may be ""
	Header http.Header // the fields of the request that the log has; may be nil
	Status int         // 0 if the log does not say
	Bytes  int64       // of the body

	File   string
	Number int64         // the number of the line in File, from 1
	Line   string        // the whole line: never print it raw
	order  int64         // place in the order of reading
	again  time.Duration // after Time, the clocks showed it again; 0 if they did not
}

// End returns when the request ended.
func (e *Entry) End() time.Time { return e.Time.Add(e.Duration) }

// Before reports whether e comes first: by time, and then by the order of reading.
func (e *Entry) Before(other *Entry) bool {
	if c := e.Time.Compare(other.Time); c != 0 {
		return c < 0
	}
	return e.order < other.order
}

// NewEntry returns an Entry for a request that is in no log.
func NewEntry(method, target string, client netip.Addr) (*Entry, error) {
	e := &Entry{Method: method, Target: target, Proto: "HTTP/1.1", Client: client, Peer: client}
	if !isToken(method) {
		return nil, fmt.Errorf("no method: %s", quote(method))
	}
	return e, e.parseTarget(false)
}
