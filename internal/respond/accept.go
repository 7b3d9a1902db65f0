package respond

import (
	"strconv"
	"strings"
)

// maxRanges is how many media ranges of Accept are read, so that a long field costs little.
const maxRanges = 32

// PrefersText reports whether a client with these Accept fields (RFC 9110, section 12.5.1) gives
// text of any kind a greater weight than JSON. Browsers do. A client that accepts everything does
// not, and neither does a client without Accept.
func PrefersText(accept []string) bool {
	if len(accept) == 0 || len(accept) == 1 && accept[0] == "*/*" {
		return false
	}
	weights := preference{text: -1, json: -1}
	n := 0
	for _, line := range accept {
		for member := range strings.SplitSeq(line, ",") {
			if n++; n > maxRanges {
				break
			}
			weights.add(member)
		}
	}
	return weights.prefersText()
}

// preference holds the greatest weight of each kind of media range. A weight of -1 means that no
// range of this kind was found.
type preference struct {
	text, json, rest float64
}

func (p *preference) add(member string) {
	mediaType, params, _ := strings.Cut(member, ";")
	mediaType = strings.ToLower(strings.TrimSpace(mediaType))
	switch q := weight(params); {
	case mediaType == "*/*":
		p.rest = max(p.rest, q)
	case strings.HasPrefix(mediaType, "text/"):
		p.text = max(p.text, q)
	case mediaType == "application/*" || strings.HasSuffix(mediaType, "json"):
		p.json = max(p.json, q)
	}
}

func (p *preference) prefersText() bool {
	text, json := p.text, p.json
	if text < 0 {
		text = p.rest
	}
	if json < 0 {
		json = p.rest
	}
	return text > json
}

// weight returns the parameter q of a media range. It is 1 if there is no q, and 0 if q is not a
// number from 0 to 1.
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
