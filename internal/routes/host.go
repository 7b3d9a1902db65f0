package routes

import (
	"maps"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// forwardedHosts are the header fields from which proxies and frameworks take the host.
var forwardedHosts = [...]string{"X-Forwarded-Host", "X-Original-Host", "X-Host", "X-Http-Host-Override"}

// maxHosts bounds the hosts that are read of one request.
const maxHosts = 16

// canonicalHost returns host as patterns have it: in lower case, without a port, without a dot at
// its end and without brackets. It returns false if servers may disagree about which host it is.
func canonicalHost(host string) (name string, sure bool) {
	if !hasUnusual(host) {
		return host, true // most are as they should be
	}
	host = withoutPort(strings.ToLower(host))
	host = strings.TrimSuffix(host, ".")
	if inside, ok := strings.CutPrefix(host, "["); ok {
		host = strings.TrimSuffix(inside, "]")
	}
	if addr, err := netip.ParseAddr(host); err == nil {
		return addr.String(), true
	}
	return host, !hasUnusual(host) && host != ""
}

// hasUnusual reports whether host has anything except lower-case letters, digits, hyphens, and dots
// between them.
func hasUnusual(host string) bool {
	last := byte('.')
	for i := range len(host) {
		c := host[i]
		ok := c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '-' || c == '_' || c == '.' && last != '.'
		if !ok {
			return true
		}
		last = c
	}
	return last == '.' && host != ""
}

func withoutPort(host string) string {
	if name, _, err := net.SplitHostPort(host); err == nil {
		return name
	}
	return host
}

func hasPort(host string) bool { return withoutPort(host) != host }

// withHost returns a copy of r for another host.
func withHost(r *http.Request, host string) *http.Request {
	c := *r
	c.Host = host
	return &c
}

// hasOtherHost reports whether r can be read to be for another host than its Host says.
func hasOtherHost(r *http.Request, named bool) bool {
	for i := 0; named && i < len(forwardedHosts); i++ {
		if r.Header[forwardedHosts[i]] != nil {
			return true
		}
	}
	return r.URL.Host != "" && r.URL.Host != r.Host || named && len(hostsInForwarded(r)) > 0
}

// hostInPath returns the name that parsers of URLs take for a host at the beginning of a path, or
// "": see withoutHost.
func hostInPath(path string) string {
	if len(path) < 2 || path[0] != '/' || path[1] != '/' && path[1] != '\\' {
		return ""
	}
	name := strings.TrimLeft(path, `/\`)
	if i := strings.IndexAny(name, `/\`); i >= 0 {
		name = name[:i]
	}
	return name
}

// withoutHost returns what parsers of URLs find in a path that begins with two slashes: these take
// the first name for a host. Some take any number of slashes for two.
func withoutHost(p string) string {
	p = strings.TrimLeft(p, "/")
	return "/" + p[min(segment(p)+1, len(p)):]
}

// hostsInForwarded returns the values of host in Forwarded (RFC 7239). What it does not read as a
// server does has a quote left, so it is no plain host.
func hostsInForwarded(r *http.Request) (hosts []string) {
	for _, line := range r.Header["Forwarded"] {
		for pair := range strings.FieldsFuncSeq(line, func(c rune) bool { return c == ',' || c == ';' }) {
			name, value, _ := strings.Cut(pair, "=")
			if strings.EqualFold(strings.Trim(name, " \t"), "host") {
				value = strings.Trim(value, " \t")
				if n := len(value); n >= 2 && value[0] == '"' && value[n-1] == '"' {
					value = value[1 : n-1]
				}
				hosts = append(hosts, value)
			}
		}
	}
	return hosts
}

// hostsOf returns the hosts that r can be read to be for; "" stands for all hosts that no pattern
// has. If one of them is doubtful, it can be any host that a pattern has. So can no host at all,
// for which servers have a default.
func (t *Table[T]) hostsOf(r *http.Request, f form) []string {
	hosts := []string{r.Host}
	if len(t.hosts) == 0 {
		return hosts
	}
	every, n := f.doubtfulHost || r.Host == "", 0
	add := func(host string) {
		name, sure := canonicalHost(strings.Trim(host, " \t"))
		if n++; !sure || n > maxHosts {
			every = true
		}
		if _, known := t.hosts[name]; !known {
			name = ""
		}
		hosts = addNew(hosts, name)
	}
	if r.URL.Host != "" {
		add(r.URL.Host)
	}
	if host := hostInPath(r.URL.Path); host != "" {
		add(host)
	}
	for _, host := range hostsInForwarded(r) {
		if !every {
			add(host)
		}
	}
	for _, field := range forwardedHosts {
		for _, line := range r.Header[field] {
			for host := range strings.SplitSeq(line, ",") {
				if !every {
					add(host)
				}
			}
		}
	}
	if every {
		hosts = append(hosts, "")
		hosts = append(hosts, slices.Sorted(maps.Keys(t.hosts))...)
	}
	return hosts
}
