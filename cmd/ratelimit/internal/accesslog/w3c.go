package accesslog

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"
)

// The W3C extended log file format names its columns in a directive, which may come again in the
// middle of a file. IIS separates values by spaces, and writes a space in a value as "+".
// CloudFront separates them by tabs, and writes it as "%20". Times are in UTC.
const (
	w3cName   = "w3c"
	w3cFields = "#Fields:"
)

var (
	errNoFields  = errors.New("no line " + w3cFields + " before it: want the names of the columns")
	errDirective = errors.New("a directive") // such a line is no request, and is not counted
)

// w3c is the format of a file whose columns are not known yet.
var w3c = &Format{name: w3cName, parse: func(line string, _ *raw) error {
	if strings.HasPrefix(line, "#") {
		return errDirective
	}
	return errNoFields
}}

// w3cColumns are the columns that matter here. All other columns are read over, and so is sc-bytes,
// which includes the header.
var w3cColumns = map[string]setter{
	"c-ip":                text(clientOf),
	"cs-username":         text(userOf),
	"cs-method":           text(methodOf),
	"cs-uri-stem":         path,
	"cs-uri-query":        text(argsOf),
	"cs-uri":              first(targetOf),
	"cs-host":             text(hostOf),
	"x-host-header":       text(hostOf), // cs(Host) of CloudFront is the name of the distribution
	"cs(Host)":            first(hostOf),
	"cs-version":          text(protoOf),
	"cs-protocol-version": text(protoOf),
	"sc-status":           setStatus,
	"sc-content-len":      setBytes,
	"time-taken":          setTaken,
	"x-forwarded-for":     w3cHeader("X-Forwarded-For"),
}

// setTaken reads a duration: milliseconds as IIS writes them, or seconds with a fraction.
func setTaken(r *raw, s string) error {
	if strings.Contains(s, ".") {
		return lasting(time.Second)(r, s)
	}
	return lasting(time.Millisecond)(r, s)
}

// w3cHeader returns the setter of a field of the request. A plus sign in a value of CloudFront
// becomes a space, like one in a value of IIS, where it may have been either.
func w3cHeader(name string) setter {
	set := headerField(name)
	return func(r *raw, s string) error {
		s = strings.ReplaceAll(s, "+", " ")
		if decoded, err := url.PathUnescape(s); err == nil {
			s = decoded
		}
		return set(r, s)
	}
}

// w3cOf returns the format that a line such as "#Fields: date time c-ip" describes. If it lacks a
// column, each line is unreadable and says so.
func w3cOf(directive string) *Format {
	t := &w3cTable{date: -1, time: -1}
	known := map[string]bool{}
	for i, name := range strings.Fields(strings.TrimPrefix(directive, w3cFields)) {
		known[name] = true
		set := w3cColumns[name]
		field, isField := strings.CutPrefix(name, "cs(")
		switch {
		case name == "date":
			t.date = i
		case name == "time":
			t.time = i
		case set == nil && isField && len(field) > 1:
			set = w3cHeader(strings.TrimSuffix(field, ")"))
		}
		t.columns = append(t.columns, set)
	}
	for _, want := range [...]string{"date", "time", "c-ip", "cs-method"} {
		if !known[want] {
			t.err = fmt.Errorf("the line %s has no %s: want it in the log", w3cFields, want)
		}
	}
	return &Format{name: w3cName, parse: t.parse}
}

// A w3cTable has the setters of the columns, or nil for columns that are read over.
type w3cTable struct {
	columns    []setter
	date, time int // the places of these columns
	err        error
}

func (t *w3cTable) parse(line string, r *raw) (err error) {
	if strings.HasPrefix(line, "#") {
		return errDirective
	}
	if t.err != nil {
		return t.err
	}
	separator, tabs, spaces := byte(' '), strings.Count(line, "\t"), strings.Count(line, " ")
	if tabs > spaces {
		separator, spaces = '\t', tabs
	}
	// IIS does not escape quotes, so a quote of a client must not hold values together.
	simple := spaces+1 == len(t.columns)
	var date, clock string
	n := 0
	for rest, more := line, true; more; n++ {
		var value string
		if value, rest, more = cutValue(rest, separator, simple); n >= len(t.columns) {
			continue
		}
		switch set := t.columns[n]; {
		case n == t.date:
			date = value
		case n == t.time:
			clock = value
		case set != nil && value != "" && value != "-":
			if err := set(r, value); err != nil {
				return err
			}
		}
	}
	if n != len(t.columns) {
		return fmt.Errorf("%d values: want %d, as the line %s has names", n, len(t.columns), w3cFields)
	}
	text := date + " " + clock
	if r.end, err = parseISO(time.DateTime, text, time.UTC); err != nil {
		return fmt.Errorf("%w: %s", errTime, quote(text))
	}
	r.whole = !strings.Contains(clock, ".")
	return nil
}

// cutValue cuts the first value off a line. A value in quotes, in which "" is a quote, may contain
// the separator, except in a simple line.
func cutValue(line string, separator byte, simple bool) (value, rest string, more bool) {
	if !strings.HasPrefix(line, `"`) {
		return cutByte(line, separator)
	}
	if simple {
		value, rest, more = cutByte(line, separator)
		if inner, ok := strings.CutSuffix(value[1:], `"`); ok {
			value = strings.ReplaceAll(inner, `""`, `"`)
		}
		return value, rest, more
	}
	for i := 1; i < len(line); i++ {
		switch {
		case line[i] != '"':
		case i+1 < len(line) && line[i+1] == '"':
			i++
		default:
			value = strings.ReplaceAll(line[1:i], `""`, `"`)
			_, rest, more = cutByte(line[i+1:], separator)
			return value, rest, more
		}
	}
	return cutByte(line, separator) // the quote is not closed
}

func cutByte(s string, separator byte) (before, after string, found bool) {
	if i := strings.IndexByte(s, separator); i >= 0 {
		return s[:i], s[i+1:], true
	}
	return s, "", false
}
