package login

import (
	"maps"
	"net/http"
	"slices"
	"strings"
)

// isAttempt reports whether a request may carry a password. A GET, HEAD or OPTIONS without a query
// string, a body or credentials asks for the form, or is a preflight. In doubt it is an attempt.
func isAttempt(r *http.Request) bool {
	switch r.Method {
	case "", http.MethodGet, http.MethodHead, http.MethodOptions:
		return r.URL == nil || r.URL.RawQuery != "" || r.ContentLength != 0 ||
			len(r.TransferEncoding) > 0 || r.Header["Authorization"] != nil
	}
	return true
}

// mayProve reports whether the response to r can prove a success. Only POST, PUT and PATCH carry a
// password in a body, and other methods in an Authorization field. Handlers answer other requests
// with status 200 without a password: they show a form, or end a session. So does the handler of
// another method or path, if a framework takes these from a field or the query.
func mayProve(r *http.Request) bool {
	for _, name := range [...]string{
		"X-Http-Method-Override", "X-Method-Override", "X-Http-Method", "X-Original-Url", "X-Rewrite-Url",
		"Script-Name", "X-Script-Name",
	} {
		if linesUnder(r.Header, name) != nil {
			return false
		}
	}
	if r.URL != nil && (r.URL.Opaque != "" || inQuery(r.URL.RawQuery, []string{"_method"})) {
		return false
	}
	switch r.Method {
	case http.MethodPost, http.MethodPut, http.MethodPatch:
		return true
	}
	return r.Header["Authorization"] != nil
}

// linesUnder returns the lines of a field, also if its name is written with underscores. What runs
// behind CGI, FastCGI, WSGI or Rack cannot tell both apart.
func linesUnder(h http.Header, name string) []string {
	lines := h[name]
	for other := range h {
		if strings.Contains(other, "_") && strings.EqualFold(strings.ReplaceAll(other, "_", "-"), name) {
			lines = append(slices.Clip(lines), h[other]...)
		}
	}
	return lines
}

// linesOf returns a copy of h, or nil if h has no lines.
func linesOf(h http.Header) http.Header {
	if len(h) == 0 {
		return nil
	}
	return maps.Clone(h)
}

// without returns h without the lines that outer middleware had set before.
func without(h, before http.Header) http.Header {
	if len(before) == 0 {
		return h
	}
	own := maps.Clone(h)
	for name, lines := range before {
		if n := len(lines); len(own[name]) >= n && slices.Equal(own[name][:n], lines) {
			own[name] = own[name][n:]
			if len(own[name]) == 0 {
				delete(own, name)
			}
		}
	}
	return own
}

// isElsewhere reports whether a browser sent r for a page of another origin. A program can send the
// same fields, so such a request must count somewhere.
func isElsewhere(r *http.Request) bool {
	switch r.Header.Get("Sec-Fetch-Site") {
	case "same-origin", "none":
		return false
	case "":
		origin := r.Header.Get("Origin")
		_, host, _ := strings.Cut(origin, "://")
		return origin != "" && !strings.EqualFold(host, r.Host)
	}
	return true
}
