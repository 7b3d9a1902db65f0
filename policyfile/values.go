package policyfile

import (
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"go.yaml.in/yaml/v4"

	"github.com/ratelimit-go/ratelimit"
)

// version is the version of the format.
type version int

func (v *version) decode(d *decoder, field string, n *yaml.Node) {
	if n.Kind != yaml.ScalarNode || n.ShortTag() != "!!int" || n.Value != "1" {
		d.addf(n, field, "%s: want 1", describe(n))
	}
	*v = 1
}

// limits are a text, or a list of texts.
type limits ratelimit.Limits

func (ls *limits) decode(d *decoder, field string, n *yaml.Node) {
	if n.Kind != yaml.SequenceNode {
		*ls = limits(d.limits(field, n))
		return
	}
	if len(n.Content) == 0 {
		d.addf(n, field, `no limits: want for example "100 per minute"`)
	}
	for i, child := range n.Content {
		field := fmt.Sprintf("%s[%d]", field, i)
		if d.values[field] = child; d.plain(field, child) {
			*ls = append(*ls, d.limits(field, child)...)
		}
	}
	_, err := ratelimit.Parse(ratelimit.Limits(*ls).String())
	unlimited := func(l ratelimit.Limit) bool { return l.String() == "unlimited" }
	switch {
	case err == nil || d.within[field]:
	case slices.ContainsFunc(*ls, unlimited):
		d.addf(n, field, "unlimited beside another limit: want one of them")
	default:
		d.addf(n, field, "the same limit twice: want it once")
	}
}

// limits returns the limits in a text.
func (d *decoder) limits(field string, n *yaml.Node) ratelimit.Limits {
	if n.Kind != yaml.ScalarNode || n.ShortTag() != "!!str" {
		d.addf(n, field, `%s: want text such as "100 per minute"`, describe(n))
		return nil
	}
	ls, err := ratelimit.Parse(n.Value)
	var mistake *ratelimit.ParseError
	switch {
	case errors.As(err, &mistake):
		reason := mistake.Reason
		if mistake.Suggestion != "" {
			reason += ": " + mistake.Suggestion
		}
		d.addf(d.inside(n, mistake.Offset), field, "%s: %s", cut(n.Value), reason)
	case err != nil:
		d.addf(n, field, "%v", err)
	}
	return ls
}

// maxColumn bounds the work for each mistake. A file may be one line.
const maxColumn = 100_000

// inside returns the place of the byte at offset of the text of n. If the text does not stand in
// one line as it is, because it is folded or has escapes, inside returns n.
func (d *decoder) inside(n *yaml.Node, offset int) *yaml.Node {
	if n.Line > len(d.lines) || n.Column > maxColumn {
		return n
	}
	column, rest := n.Column, d.lines[n.Line-1]
	if n.Style&(yaml.SingleQuotedStyle|yaml.DoubleQuotedStyle) != 0 {
		column++
	}
	for range column - 1 {
		_, size := utf8.DecodeRuneInString(rest)
		rest = rest[size:]
	}
	if !strings.HasPrefix(rest, n.Value) {
		return n
	}
	column += utf8.RuneCountInString(n.Value[:min(offset, len(n.Value))])
	return &yaml.Node{Line: n.Line, Column: column}
}

// limit is one limit.
type limit ratelimit.Limit

func (l *limit) decode(d *decoder, field string, n *yaml.Node) {
	switch ls := d.limits(field, n); {
	case len(ls) == 1:
		*l = limit(ls[0])
	case len(ls) > 1:
		d.addf(n, field, "%s: want one limit", describe(n))
	}
}

// duration is a text such as "250ms", "1h30m" or "15 minutes".
type duration time.Duration

func (t *duration) decode(d *decoder, field string, n *yaml.Node) {
	if n.Kind == yaml.ScalarNode && n.ShortTag() == "!!str" {
		if parsed, ok := parseDuration(n.Value); ok && parsed > 0 {
			*t = duration(parsed)
			return
		}
	}
	d.addf(n, field, `%s: want a time above 0 with its unit, such as "500ms", "1h30m" or "15 minutes"`,
		describe(n))
}

// parseDuration reads the notation of Go, and the notation of periods in limits.
func parseDuration(text string) (time.Duration, bool) {
	if d, err := time.ParseDuration(text); err == nil {
		return d, true
	}
	lower := strings.ToLower(text)
	ls, err := ratelimit.Parse("1 per " + lower)
	if err != nil || len(ls) != 1 || strings.Contains(lower, "burst") || strings.Contains(lower, "strict") {
		return 0, false
	}
	return ls[0].Period, true
}

// A chooser is a text of a few choices.
type chooser interface{ choices() []string }

type (
	headers    string
	failure    string
	missingKey string
)

func (headers) choices() []string {
	return []string{"draft-11", "draft-7", "draft-6", "legacy", "none"}
}
func (failure) choices() []string    { return []string{"open", "closed", "memory"} }
func (missingKey) choices() []string { return []string{"share", "deny", "skip"} }

func (h *headers) decode(d *decoder, field string, n *yaml.Node) {
	*h = headers(d.choice(field, n, *h))
}

func (f *failure) decode(d *decoder, field string, n *yaml.Node) {
	*f = failure(d.choice(field, n, *f))
}

func (m *missingKey) decode(d *decoder, field string, n *yaml.Node) {
	*m = missingKey(d.choice(field, n, *m))
}

// choice returns the text of n if it is a choice of c.
func (d *decoder) choice(field string, n *yaml.Node, c chooser) string {
	if n.Kind == yaml.ScalarNode && n.ShortTag() == "!!str" && slices.Contains(c.choices(), n.Value) {
		return n.Value
	}
	d.addf(n, field, "unknown choice %s: want %s", describe(n), choices(c.choices()))
	return ""
}

var modes = regexp.MustCompile(`^(?:enforce|dry-run|off|enforce (100|[1-9]?[0-9])%)$`)

// mode is a mode of a rule.
type mode string

func (m *mode) decode(d *decoder, field string, n *yaml.Node) {
	if n.Kind == yaml.ScalarNode && n.ShortTag() == "!!str" {
		if found := modes.FindStringSubmatch(n.Value); found != nil {
			*m = mode(found[0])
			if found[1] != "" {
				percent, _ := strconv.Atoi(found[1]) // digits, as modes says
				*m = mode(ratelimit.EnforcePercent(percent))
			}
			return
		}
	}
	d.addf(n, field, "unknown mode %s: want enforce, dry-run, off, or a share of all keys "+
		`such as "enforce 10%%"`, describe(n))
}

// responses is the name of a condition on responses, or a list of status codes and classes.
type responses struct {
	Name    string
	Codes   []int
	Classes []int // 4 for 4xx
}

func (r *responses) decode(d *decoder, field string, n *yaml.Node) {
	if n.Kind == yaml.ScalarNode && n.ShortTag() == "!!int" {
		d.addf(n, field, "%s: want a list, such as [%s]", describe(n), cutName(n.Value))
		return
	}
	if n.Kind != yaml.SequenceNode {
		r.Name = d.text(field, n)
		return
	}
	if len(n.Content) == 0 {
		d.addf(n, field, "no status: want at least one, such as 401 or 5xx")
	}
	for i, child := range n.Content {
		field := fmt.Sprintf("%s[%d]", field, i)
		if d.values[field] = child; !d.plain(field, child) {
			continue
		}
		class, isClass := strings.CutSuffix(child.Value, "xx")
		code, err := strconv.Atoi(class)
		switch {
		case child.Kind != yaml.ScalarNode || err != nil || class != strconv.Itoa(code):
		case isClass && code >= 1 && code <= 5:
			r.Classes = append(r.Classes, code)
			continue
		case !isClass && code >= 100 && code <= 599 && child.ShortTag() == "!!int":
			r.Codes = append(r.Codes, code)
			continue
		}
		d.addf(child, field, "%s: want a status from 100 to 599, or 1xx to 5xx", describe(child))
	}
}

// oneField reads n into the only field with the tag "" if it is a scalar, and into the others if it
// is a mapping.
func (d *decoder) oneField(field string, n *yaml.Node, v reflect.Value) {
	switch n.Kind {
	case yaml.SequenceNode:
		d.addf(n, field, "a list: want text or a mapping of fields")
		return
	case yaml.ScalarNode:
		v.Field(0).SetString(d.text(field, n))
		return
	}
	d.mapping(field, n, v)
}

func (a *account) decode(d *decoder, field string, n *yaml.Node) {
	d.oneField(field, n, reflect.ValueOf(a).Elem())
	if n.Kind == yaml.MappingNode && len(n.Content) != 2 {
		d.addf(n, field, "want one of the fields form and json")
	}
	if a.JSON != "" && slices.Contains(strings.Split(a.JSON, "."), "") {
		d.addf(d.values[field+".json"], field+".json",
			"%q: want names with single dots between them, such as user.email", a.JSON)
		a.JSON = "" // for which there is no function
	}
}

func (p *priority) decode(d *decoder, field string, n *yaml.Node) {
	d.oneField(field, n, reflect.ValueOf(p).Elem())
}

func (k *key) decode(d *decoder, field string, n *yaml.Node) {
	d.oneField(field, n, reflect.ValueOf(k).Elem())
	if n.Kind == yaml.MappingNode && len(n.Content) != 2 {
		d.addf(n, field, "%d fields: want one of header, cookie, global, all_of and first_of",
			len(n.Content)/2)
	}
}

func (c *cost) decode(d *decoder, field string, n *yaml.Node) {
	if n.Kind == yaml.MappingNode {
		d.mapping(field, n, reflect.ValueOf(c).Elem())
		return
	}
	c.Fixed = int(d.number(field, n))
}
