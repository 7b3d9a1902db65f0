package respond

import (
	"net/http"
	"strconv"
	"strings"
	"unsafe"
)

const (
	policyName = "Ratelimit-Policy"
	levelName  = "Ratelimit"
)

// Values are the strings to which the slices of RateLimit-Policy and RateLimit in a header point.
// Each slice has a capacity of one, so appending to the first does not overwrite the second.
type Values [2]string

// AppendLevel appends a member of RateLimit to b, after ", " if b is not empty. The level is
// [Policy.Level], remaining the number of tokens left (r, at most [MaxInteger]), and seconds the
// time in which the client may use them (t).
func AppendLevel(b []byte, level string, remaining, seconds int64) []byte {
	if len(b) > 0 {
		b = append(b, ", "...)
	}
	b = strconv.AppendInt(append(b, level...), min(remaining, MaxInteger), 10)
	return strconv.AppendInt(append(b, ";t="...), seconds, 10)
}

// SetDraft writes RateLimit-Policy and RateLimit in the form of versions 8 to 11 of
// draft-ietf-httpapi-ratelimit-headers. The values of outer limiters come first in the same line.
//
// The policies are joined by ", ". [AppendLevel] makes the levels. Without levels SetDraft writes
// nothing. The header points to v, and levels becomes a string in place. Do not change either of
// them afterwards.
func SetDraft(h http.Header, policies string, levels []byte, v *Values) {
	if len(levels) == 0 {
		return
	}
	text := unsafe.String(&levels[0], len(levels))
	if outer := h[levelName]; len(outer) > 0 && sharesName(outer[0], text) {
		v[0], v[1] = joinedByName(h[policyName], outer, policies, text)
	} else {
		v[0], v[1] = joined(h[policyName], policies), joined(outer, text)
	}
	h[policyName], h[levelName] = v[0:1:1], v[1:2:2]
}

// joinedByName is joined for both fields, with each name once.
func joinedByName(outerPolicies, outer []string, policies, levels string) (string, string) {
	var j joint
	j.add([]string{strings.Join(outerPolicies, ", "), strings.Join(outer, ", ")}, false)
	j.add([]string{policies, levels}, false)
	return strings.Join(j.policies, ", "), strings.Join(j.levels, ", ")
}

// sharesName reports whether a member of levels, as AppendLevel makes them, has the name of an
// outer member: two limiters have rules of the same name.
func sharesName(outer, levels string) bool {
	for len(levels) > 0 {
		name, rest, _ := strings.Cut(levels, ";r=")
		if strings.Contains(outer, name+";r=") {
			return true
		}
		_, levels, _ = strings.Cut(rest, ", ")
	}
	return false
}

// Join returns two lists as one, of which the first may be empty.
func Join(list, more string) string {
	if list == "" {
		return more
	}
	return list + ", " + more
}

// joined returns members as one line, after the lines that outer limiters wrote.
func joined(outer []string, members string) string {
	if len(outer) == 0 || len(outer) == 1 && outer[0] == "" {
		return members
	}
	return strings.Join(outer, ", ") + ", " + members
}
