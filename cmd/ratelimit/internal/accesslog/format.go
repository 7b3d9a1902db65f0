package accesslog

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// A Format reads the lines of one log format. It is immutable and safe for concurrent use.
type Format struct {
	name    string
	parse   func(line string, r *raw) error
	fits    func(line string) bool // whether a line that can be read is of this format; nil for any
	fullURL bool                   // the log writes "http://host:80/path" for every request
	loc     *time.Location
}

// Name returns the name of f, such as "combined", or the format string.
func (f *Format) Name() string { return f.name }

// In returns a copy of f that takes times without a zone as times in loc.
func (f *Format) In(loc *time.Location) *Format {
	g := *f
	g.loc = loc
	return &g
}

// Parse reads one line into e. The error says what is wrong with the line. It is plain text.
func (f *Format) Parse(line string, e *Entry) error { return f.parseBy(new(raw), line, e) }

// parseBy is Parse with a raw to use again.
func (f *Format) parseBy(r *raw, line string, e *Entry) error {
	*r = raw{loc: f.loc}
	if r.loc == nil {
		r.loc = time.UTC
	}
	if err := f.parse(withoutPrefix(line), r); err != nil {
		return err
	}
	*e = Entry{Line: line}
	return r.finish(e, f.fullURL)
}

// withoutPrefix removes what a container runtime writes before a line, such as
// "2025-12-31T17:37:40.493035218+01:00 stdout F ".
func withoutPrefix(line string) string {
	for _, stream := range [...]string{" stdout F ", " stderr F "} {
		if i := strings.Index(line[:min(len(line), 64)], stream); i > 0 && strings.Count(line[:i], " ") == 0 {
			return line[i+len(stream):]
		}
	}
	return line
}

const (
	common   = `$remote_addr $ident $remote_user [$time_local] "$request" $status $body_bytes_sent`
	agent    = ` "$http_referer" "$http_user_agent"`
	combined = common + agent

	traefikHead = `$remote_addr $ident $remote_user [$start_local] "$request" $status $body_bytes_sent`
	traefik     = traefikHead + agent + ` $number "$router" "$server" ${request_time_ms}ms`
	envoy       = `[$start_iso8601] "$request" $status $flags $received $body_bytes_sent ` +
		`$request_time_ms $up "$http_x_forwarded_for" "$http_user_agent" "$id" "$http_host" "$upstream_host"`
	alb = `$type $time_iso8601 $elb $client_port $target $t1 $t2 $t3 $status $target_status $received ` +
		`$body_bytes_sent "$request" "$http_user_agent" $cipher $protocol $group "$trace" "$domain" ` +
		`"$certificate" $priority $start_iso8601`
	haproxy = `$client_port [$start_local] $frontend $backend $haproxy_timers $status $body_bytes_sent ` +
		`$cookie1 $cookie2 $termination $connections $queues $captured"$request"`
)

// formats are the known formats. The order decides where several read the same lines.
var formats = []*Format{
	{name: "caddy", parse: caddyTree.parse, fits: caddyTree.fits},
	{name: "traefik-json", parse: traefikTree.parse, fits: traefikTree.fits},
	{name: "envoy-json", parse: envoyTree.parse, fits: envoyTree.fits},
	{name: "slog", parse: slogTree.parse, fits: slogTree.fits},
	{name: "nginx-json", parse: nginxTree.parse},
	{name: "traefik", parse: traefikText()},
	{name: "combined", parse: fixed(combined, true), fits: withoutHost},
	{name: "vhost-combined", parse: fixed(`$host `+combined, true)},
	{name: "common", parse: fixed(common, true), fits: withoutHost},
	{name: "vhost-common", parse: fixed(`$host `+common, true)},
	{name: "envoy", parse: envoyText()},
	{name: "alb", parse: fixed(alb, true), fullURL: true},
	{name: "haproxy", parse: afterSyslog(fixed(haproxy, true))},
	w3c,
}

// withoutHost reports whether the second value of a line is no address. After a host it is the
// client, and the host may be an address too.
func withoutHost(line string) bool {
	_, rest, _ := strings.Cut(line, " ")
	second, _, _ := strings.Cut(rest, " ")
	_, err := parseAddr(second)
	return err != nil
}

// fixed returns the parser of a format of this file.
func fixed(format string, open bool) func(string, *raw) error {
	t := mustCompile(format)
	t.open = open
	return t.parse
}

func mustCompile(format string) *template {
	t, err := compileNginx(format)
	if err != nil {
		panic("accesslog: " + format + ": " + err.Error())
	}
	return t
}

// afterSyslog reads over the header of syslog, such as
// "Feb  6 12:14:14 localhost haproxy[14389]: ".
func afterSyslog(parse func(string, *raw) error) func(string, *raw) error {
	return func(line string, r *raw) error {
		if i := strings.Index(line, "]: "); i >= 0 && i < strings.Index(line, " [") {
			line = line[i+len("]: "):]
		}
		return parse(line, r)
	}
}

// Names returns the names of the known formats.
func Names() []string {
	names := make([]string, len(formats))
	for i, f := range formats {
		names[i] = f.name
	}
	return names
}

// ParseFormat returns the format of that name, or compiles a format string in the notation of
// nginx ("$remote_addr ..."), Apache ("%h ...") or W3C ("#Fields: date time ...").
func ParseFormat(text string) (*Format, error) {
	if i := slices.Index(Names(), text); i >= 0 {
		return formats[i], nil
	}
	var t *template
	var err error
	switch {
	case strings.HasPrefix(text, w3cFields):
		return w3cOf(text), nil
	case strings.Contains(text, "$"):
		t, err = compileNginx(text)
	case strings.Contains(text, "%"):
		t, err = compileApache(text)
	default:
		err = fmt.Errorf("no format %s: want a format string, or one of %s", quote(text),
			strings.Join(Names(), ", "))
	}
	if err != nil {
		return nil, err
	}
	return &Format{name: text, parse: t.parse}, nil
}

// errUnknown means that no format reads the first lines of a file.
var errUnknown = errors.New("no known format reads its first lines: name the format")

// detect returns the format that reads most of lines.
func detect(lines []string) (*Format, error) {
	var found *Format
	most := 0
	for _, f := range formats {
		n := 0
		for _, line := range lines {
			var e Entry
			if f.Parse(line, &e) == nil && (f.fits == nil || f.fits(withoutPrefix(line))) {
				n++
			}
		}
		if n > most {
			found, most = f, n
		}
	}
	if found == nil {
		return nil, errUnknown
	}
	return found, nil
}
