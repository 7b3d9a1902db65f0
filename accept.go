package ratelimit

import (
	"strconv"
	"strings"
)

// maxRanges bounds the media ranges of Accept that are looked at.
const maxRanges = 32

// prefersText reports whether a client with these Accept fields (RFC 9110, section 12.5.1) is
// to get text and not JSON: if it gives text of any kind a greater weight. A browser
// does; a client that accepts everything, or says nothing, does not.
func prefersText(accept []string) bool {
	if len(accept) == 0 || len(accept) == 1 && accept[0] == "*/*" {
		return false
	}
	text, json, rest := -1.0, -1.0, 0.0
	n := 0
	for _, line := range accept {
		for member := range strings.SplitSeq(line, ",") {
			if n++; n > maxRanges {
				break
			}
			mediaType, params, _ := strings.Cut(member, ";")
			mediaType = strings.ToLower(strings.TrimSpace(mediaType))
			switch q := weight(params); {
			case mediaType == "*/*":
				rest = max(rest, q)
			case strings.HasPrefix(mediaType, "text/"):
				text = max(text, q)
			case mediaType == "application/*" || strings.HasSuffix(mediaType, "json"):
				json = max(json, q)
			}
		}
	}
	if text < 0 {
		text = rest
	}
	if json < 0 {
		json = rest
	}
	return text > json
}

// weight returns the q among the parameters of a media range, 1 if there is none and 0 if
// it is not a number from 0 to 1.
func weight(params string) float64 {
	for param := range strings.SplitSeq(params, ";") {
		name, value, _ := strings.Cut(strings.TrimSpace(param), "=")
		if !strings.EqualFold(name, "q") {
			continue
		}
		if q, err := strconv.ParseFloat(value, 64); err == nil && q >= 0 && q <= 1 {
			return q
		}
		return 0
	}
	return 1
}
