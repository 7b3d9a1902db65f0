package told

import (
	"errors"
	"strconv"
	"strings"
)

// A dialect is a set of three fields with one number each.
type dialect struct {
	limit, left, reset string // names of fields, as [http.CanonicalHeaderKey] writes them
	form               string
	requests           bool
}

// dialects are the fields of single numbers, in the order in which they are read.
var dialects = []dialect{
	{"Ratelimit-Limit", "Ratelimit-Remaining", "Ratelimit-Reset", "draft-6", true},
	{"X-Ratelimit-Limit", "X-Ratelimit-Remaining", "X-Ratelimit-Reset", "x", true},
	{"X-Rate-Limit-Limit", "X-Rate-Limit-Remaining", "X-Rate-Limit-Reset", "x-rate", true},
	openAI("Requests", true),
	openAI("Tokens", false),
	anthropic("Requests", true),
	anthropic("Tokens", false),
	anthropic("Input-Tokens", false),
	anthropic("Output-Tokens", false),
}

// openAI returns the fields of OpenAI, which many services of the kind have taken over.
func openAI(unit string, requests bool) dialect {
	const prefix = "X-Ratelimit-"
	return dialect{
		prefix + "Limit-" + unit, prefix + "Remaining-" + unit, prefix + "Reset-" + unit,
		"openai-" + strings.ToLower(unit), requests,
	}
}

func anthropic(unit string, requests bool) dialect {
	prefix := "Anthropic-Ratelimit-" + unit
	return dialect{
		prefix + "-Limit", prefix + "-Remaining", prefix + "-Reset",
		"anthropic-" + strings.ToLower(unit), requests,
	}
}

// single reads a quota from fields of single numbers.
func (r *reader) single(d dialect) {
	left := r.field(d.left)
	if left == "" {
		return
	}
	left, _, _ = strings.Cut(lowest(left), ";") // Docker Hub sends 76;w=21600
	n, err := number(strings.TrimSpace(left))
	if err != nil {
		r.mistake(d.left, err)
		return
	}
	q := Quota{Requests: d.requests, Limit: -1, Left: n, Reset: -1}
	if limit, _, _ := strings.Cut(r.field(d.limit), ","); limit != "" {
		limit, _, _ = strings.Cut(limit, ";")
		if q.Limit, err = number(strings.TrimSpace(limit)); err != nil {
			r.mistake(d.limit, err)
			q.Limit = -1
		}
	}
	r.resetOf(d, &q)
	form := d.form
	// GitHub names the resource, and has the whole quota again at the reset.
	if resource := r.field("X-Ratelimit-Resource"); d.form == "x" && resource != "" {
		form += " " + resource[:min(len(resource), maxName)]
		q.Refills = true
	}
	r.unnamed(form, q)
}

// resetOf reads the reset of a quota. Of several lines the latest counts. Discord tells the time
// that is left, too, which needs no clock.
func (r *reader) resetOf(d dialect, q *Quota) {
	lines := r.header.Values(d.reset + "-After")
	if len(lines) == 0 {
		lines = r.header.Values(d.reset)
	}
	for i, line := range lines {
		if i == MaxQuotas || len(line) > maxField {
			r.mistake(d.reset, errors.New("too many or too long"))
			return
		}
		wait, instant, err := longest(strings.TrimSpace(line), r.until)
		if err != nil {
			r.mistake(d.reset, err)
			continue
		}
		if wait > q.Reset {
			q.Reset, q.Instant = wait, instant
		}
	}
}

// shopify reads the field of Shopify, such as 32/40: how many requests are in a bucket that leaks,
// and how many it holds.
func (r *reader) shopify() {
	const name = "X-Shopify-Shop-Api-Call-Limit"
	text := r.field(name)
	if text == "" {
		return
	}
	used, limit, _ := strings.Cut(text, "/")
	u, errUsed := number(used)
	n, errLimit := number(limit)
	if errUsed != nil || errLimit != nil {
		r.mistake(name, errors.New("want a form such as 32/40"))
		return
	}
	r.unnamed("shopify", Quota{Requests: true, Limit: n, Left: n - u, Reset: -1})
}

// lowest returns the lowest of several numbers that a proxy has joined by commas.
func lowest(text string) string {
	if !strings.Contains(text, ",") {
		return text
	}
	best, found := int64(0), ""
	for part := range strings.SplitSeq(text, ",") {
		n, err := number(strings.TrimSpace(part))
		if err != nil {
			return part
		}
		if found == "" || n < best {
			best, found = n, part
		}
	}
	return found
}

// number reads a count. A server may say that fewer than none are left, or send a point.
func number(text string) (int64, error) {
	if strings.HasPrefix(text, "-") && digits(text[1:]) {
		return 0, nil
	}
	whole, fraction, point := strings.Cut(text, ".")
	if !digits(whole) || point && !digits(fraction) {
		return 0, errors.New("want a whole number")
	}
	n, err := strconv.ParseInt(whole, 10, 64)
	if err != nil {
		return 0, errRange
	}
	return n, nil
}
