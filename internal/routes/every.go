package routes

import (
	"iter"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// Every reports whether f is true for r and for each other reading of its path, method and host. It
// is for functions that exempt requests.
//
// Many functions list what is free, such as a prefix, one path or an extension. For these a reading
// in lower case, without a slash at the end, without an extension, or of another spelling of the
// host says nothing. So such a reading counts only if f is true for what no service has: then f
// names what is not free.
func Every(r *http.Request, f func(*http.Request) bool) bool {
	if !f(r) {
		return false
	}
	asked := r
	r, named := dashed(r)
	form := pathFormOf(r, named)
	others := hasUnusual(r.Host) || hasOtherMethod(r, named) || hasOtherHost(r, named)
	if form.doubt == 0 && !form.other && !others && endOfScript(r.URL.Path) == 0 {
		for path := range spellings(r.URL.Path) {
			p := &url.URL{Path: path}
			if !ask(asked, f, r.Method, r.Host, p) && ask(asked, f, r.Method, r.Host, otherPath()) {
				return false
			}
		}
		return true
	}
	form.slash = false
	paths, ok := pathsOf(r, form)
	scripts, few := extras(paths, nil)
	hosts := namedHosts(r)
	moreHosts, sure := spellingsOfHosts(hosts)
	if !ok || !few || !sure {
		return false
	}
	paths = append(paths, scripts...)
	return everywhere(asked, f, &parts{methodsOf(r), paths, spellingsOf(paths), hosts, moreHosts})
}

// parts are the parts of the readings of a request. A reading with a part of more counts as Every
// says.
type parts struct {
	methods          []string
	paths, morePaths []*url.URL
	hosts, moreHosts []string
}

func everywhere(r *http.Request, f func(*http.Request) bool, all *parts) bool {
	paths, hosts := slices.Concat(all.paths, all.morePaths), slices.Concat(all.hosts, all.moreHosts)
	if len(all.methods)*len(paths)*len(hosts) > maxReadings {
		return false
	}
	for _, method := range all.methods {
		for i, host := range hosts {
			for j, path := range paths {
				if ask(r, f, method, host, path) {
					continue
				}
				otherHost, spelled := i >= len(all.hosts), j >= len(all.paths)
				if otherHost {
					host = "other.invalid"
				}
				if spelled {
					path = otherPath()
				}
				if !otherHost && !spelled || ask(r, f, method, host, path) {
					return false
				}
			}
		}
	}
	return true
}

// otherPath returns a path that no service has.
func otherPath() *url.URL { return &url.URL{Path: "/other.invalid/other"} }

// ask returns f for a reading of r.
func ask(r *http.Request, f func(*http.Request) bool, method, host string, path *url.URL) bool {
	reading := struct {
		http.Request
		url url.URL
	}{*r, *r.URL}
	u := &reading.url
	u.Path, u.RawPath = path.Path, path.RawPath
	reading.Method, reading.Host, reading.URL, reading.RequestURI = method, host, u, u.RequestURI()
	return f(&reading.Request)
}

// spellings yields other spellings of a path: in lower case, without a slash at its end, without
// the text from the first or the last dot of its last segment on, and without the name of a file
// that stands for its directory.
func spellings(path string) iter.Seq[string] {
	return func(yield func(string) bool) {
		for i, p := range [2]string{path, foldCase(path)} {
			if i == 1 && (p == path || !yield(p)) {
				return
			}
			short := p
			if len(p) > 1 {
				short = strings.TrimSuffix(p, "/")
			}
			if short != p && !yield(short) {
				return
			}
			first, last := dots(short)
			if first > 0 && !yield(short[:first]) || last > first && !yield(short[:last]) {
				return
			}
			if dir := directory(short); dir > 0 && (!yield(short[:dir]) || !yield(short[:max(dir-1, 1)])) {
				return
			}
		}
	}
}

// spellingsOf returns other spellings of paths.
func spellingsOf(paths []*url.URL) (more []*url.URL) {
	var seen []string
	for _, u := range paths {
		seen = addNew(seen, u.Path)
	}
	known := len(seen)
	for _, u := range paths {
		for path := range spellings(u.Path) {
			seen = addNew(seen, path)
		}
	}
	for _, path := range seen[known:] {
		more = append(more, &url.URL{Path: path})
	}
	return more
}

// namedHosts returns the hosts that r names, or more than maxHosts.
func namedHosts(r *http.Request) []string {
	hosts := []string{r.Host}
	add := func(host string) {
		if len(hosts) <= maxHosts {
			hosts = addNew(hosts, strings.Trim(host, " \t"))
		}
	}
	if r.URL.Host != "" {
		add(r.URL.Host)
	}
	if host := hostInPath(r.URL.Path); host != "" {
		add(host)
	}
	for _, host := range hostsInForwarded(r) {
		add(host)
	}
	for _, field := range forwardedHosts {
		for _, line := range r.Header[field] {
			for host := range strings.SplitSeq(line, ",") {
				add(host)
			}
		}
	}
	return hosts
}

// spellingsOfHosts returns hosts as patterns have them, if they are written otherwise. It returns
// false if there are too many, or if servers may disagree about one.
func spellingsOfHosts(hosts []string) (more []string, ok bool) {
	for _, host := range hosts {
		name, sure := canonicalHost(host)
		if !sure || len(hosts) > maxHosts {
			return nil, false
		}
		if name != host {
			more = addNew(more, name)
		}
	}
	return more, true
}
