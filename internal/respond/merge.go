package respond

import (
	"cmp"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// merge makes one line of each field in h: of the outer fields, and of what an inner handler of
// another program has written after them or instead of them. In the forms that have room for one
// limit, the strictest stays: the fewest tokens left. If the inner handler denied the request, its
// fields are the strictest.
func merge(h, outer http.Header, status int, now time.Time) {
	denied := status == http.StatusTooManyRequests
	mergeLists(h, outer, denied)
	mergeThree(h, outer, draft6Names[:], denied)
	mergeThree(h, outer, legacyNames[:], denied)
	mergeRetryAfter(h, outer, now)
}

// inner returns the lines of a field that the inner handler has written.
func inner(h, outer http.Header, name string) []string {
	lines := h[name]
	if startsWith(lines, outer[name]) {
		return lines[len(outer[name]):]
	}
	return lines
}

// mergeThree merges fields that hold one limit, of which the second is the number of tokens left.
func mergeThree(h, outer http.Header, names []string, denied bool) {
	all := groups(outer, names, func(name string) []string { return outer[name] })
	theirs := groups(h, names, func(name string) []string { return inner(h, outer, name) })
	if len(theirs) == 0 {
		return
	}
	if denied {
		all = nil
	}
	set(h, names, strictest(append(all, theirs...), 1, number))
}

// groups returns the lines of the named fields, the first line of each field together, and so on.
func groups(h http.Header, names []string, lines func(name string) []string) [][]string {
	var all [][]string
	for i, name := range names {
		for j, line := range lines(name) {
			if j == len(all) {
				all = append(all, make([]string, len(names)))
			}
			if j < len(all) {
				all[j][i] = line
			}
		}
	}
	return all
}

// strictest returns the group with the fewest tokens left, which the line at this index says. The
// first of several wins. A line that says nothing wins over no other.
func strictest(all [][]string, at int, left func(string) int64) []string {
	best := all[0]
	for _, group := range all[1:] {
		if left(group[at]) < left(best[at]) {
			best = group
		}
	}
	return best
}

func set(h http.Header, names, lines []string) {
	for i, name := range names {
		if h[name] = lines[i : i+1 : i+1]; lines[i] == "" {
			delete(h, name)
		}
	}
}

// number returns the number at the beginning of text, or [math.MaxInt64] without any.
func number(text string) int64 {
	text = strings.TrimSpace(text)
	end := strings.IndexFunc(text, func(r rune) bool { return r < '0' || r > '9' })
	if end < 0 {
		end = len(text)
	}
	n, err := strconv.ParseInt(text[:end], 10, 64)
	if err != nil {
		return math.MaxInt64
	}
	return n
}

// remaining returns how many tokens are left by a line of RateLimit of version 7 of the draft, or
// by the lowest member of a later version.
func remaining(line string) int64 {
	if isList(line) {
		least := int64(math.MaxInt64)
		for _, m := range members(line) {
			_, rest, _ := strings.Cut(m[endOfName(m):], ";r=")
			least = min(least, number(rest))
		}
		return least
	}
	_, rest, _ := strings.Cut(line, "remaining=")
	return number(rest)
}

// isList reports whether a line is in the form of versions 8 to 11 of the draft.
func isList(line string) bool { return strings.HasPrefix(line, `"`) }

// mergeLists merges RateLimit-Policy and RateLimit. Lists are joined. Other forms have room for one
// limit. If both forms meet, the strictest stays.
func mergeLists(h, outer http.Header, denied bool) {
	names := []string{policyName, levelName}
	all := groups(outer, names, func(name string) []string { return outer[name] })
	theirs := groups(h, names, func(name string) []string { return inner(h, outer, name) })
	if len(theirs) == 0 {
		return
	}
	lists := true
	for _, group := range slices.Concat(all, theirs) {
		lists = lists && (group[0] == "" || isList(group[0])) && (group[1] == "" || isList(group[1]))
	}
	if lists {
		var j joint
		for _, group := range all {
			j.add(group, false)
		}
		for _, group := range theirs {
			j.add(group, denied)
		}
		set(h, names, []string{strings.Join(j.policies, ", "), strings.Join(j.levels, ", ")})
		return
	}
	if denied {
		all = nil
	}
	set(h, names, strictest(append(all, theirs...), 1, remaining))
}

// A joint is lists that are joined. A name is a member of each list once: with the fewest tokens
// left, because clients look a policy up by its name.
type joint struct{ policies, levels []string }

// add adds the members of a policy field and a level field. With win, they replace others.
func (j *joint) add(group []string, win bool) {
	policies := members(group[0])
	replaced := map[string]bool{}
	for _, level := range members(group[1]) {
		name := nameOf(level)
		i := find(j.levels, name)
		switch {
		case i < 0:
			j.levels = append(j.levels, level)
		case win || remaining(level) < remaining(j.levels[i]):
			j.levels[i], replaced[name] = level, true
		}
	}
	for _, policy := range policies {
		name := nameOf(policy)
		switch i := find(j.policies, name); {
		case i < 0:
			j.policies = append(j.policies, policy)
		case replaced[name]:
			j.policies[i] = policy
		}
	}
}

func find(members []string, name string) int {
	return slices.IndexFunc(members, func(m string) bool { return nameOf(m) == name })
}

// endOfName returns where the name of a member ends, which is in quotes.
func endOfName(member string) int {
	for i := 1; i < len(member); i++ {
		switch member[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
	return len(member)
}

// nameOf returns the name of a member, with its partition key if it has one.
func nameOf(member string) string {
	end := endOfName(member)
	if _, key, found := strings.Cut(member[end:], ";pk="); found {
		key, _, _ = strings.Cut(key, ";")
		return member[:end] + key
	}
	return member[:end]
}

// members returns the members of a list. Commas inside of strings do not separate members. A string
// without an end is no member.
func members(list string) []string {
	var all []string
	begin, quoted := 0, false
	for i := 0; i <= len(list); i++ {
		switch {
		case i == len(list) || list[i] == ',' && !quoted:
			if m := strings.TrimSpace(list[begin:i]); m != "" && !quoted {
				all = append(all, m)
			}
			begin = i + 1
		case list[i] == '\\' && quoted:
			i++
		case list[i] == '"':
			quoted = !quoted
		}
	}
	return all
}

// mergeRetryAfter keeps the longest wait.
func mergeRetryAfter(h, outer http.Header, now time.Time) {
	lines := slices.Concat(outer["Retry-After"], inner(h, outer, "Retry-After"))
	if len(lines) < 2 {
		return
	}
	secs := func(line string) int64 { return waitOf(line, func() time.Time { return now }) }
	longest := slices.MaxFunc(lines, func(a, b string) int { return cmp.Compare(secs(a), secs(b)) })
	h["Retry-After"] = []string{longest}
}
