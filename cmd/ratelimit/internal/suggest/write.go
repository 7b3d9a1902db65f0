package suggest

import (
	"cmp"
	"fmt"
	"io"
	"strings"

	"github.com/ratelimit-go/ratelimit/cmd/ratelimit/internal/plain"
)

var units = [len(periods)]string{"second", "minute", "hour"}

// WritePolicy writes s as a policy file, with the distributions in comments. Each line of comment
// becomes a comment at the top.
func (s *Suggestion) WritePolicy(w io.Writer, comment []string) error {
	var b strings.Builder
	for _, line := range comment {
		b.WriteString("# " + plain.Text(line, 500) + "\n")
	}
	b.WriteString("version: 1\n")
	names := map[string]bool{}
	if s.Clients > 0 {
		b.WriteString("rules:\n")
		s.All.write(&b, "all requests", "  ", "per-client")
		names["per-client"] = true
	}
	if len(s.Routes) > 0 {
		b.WriteString("routes:\n")
	}
	for i := range s.Routes {
		r := &s.Routes[i]
		fmt.Fprintf(&b, "  %q:\n", r.Pattern)
		name := ruleName(r.Pattern)
		for n := 2; names[name]; n++ {
			name = fmt.Sprintf("%s-%d", ruleName(r.Pattern), n)
		}
		names[name] = true
		r.write(&b, "", "    ", name)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// write writes the rule of a route.
func (r *Route) write(b *strings.Builder, what, indent, name string) {
	if what != "" {
		what += ": "
	}
	fmt.Fprintf(b, "%s# %s%s of %s. Requests of a client in its busiest\n", indent, what,
		plain.Count(r.Requests, "request"), plain.Count(r.Clients, "client"))
	for p, d := range r.Busiest {
		fmt.Fprintf(b, "%s#   %-7s p50 %d, p99 %d, p99.9 %d, max %d\n", indent, units[p]+":", d.P50,
			d.P99, d.P999, d.Max)
	}
	var limits []string
	for p, n := range r.Limits {
		if n > 0 {
			limits = append(limits, fmt.Sprintf("%d per %s", n, units[p]))
		}
	}
	fmt.Fprintf(b, "%s- name: %s\n%s  limits: [%s]\n", indent, name, indent, strings.Join(limits, ", "))
}

// ruleName makes the name of a rule from a pattern, such as "get-orders-id".
func ruleName(pattern string) string {
	var b strings.Builder
	for _, c := range strings.ToLower(pattern) {
		if c >= 'a' && c <= 'z' || c >= '0' && c <= '9' {
			b.WriteRune(c)
		} else if s := b.String(); s != "" && !strings.HasSuffix(s, "-") {
			b.WriteByte('-')
		}
	}
	name := strings.Trim(b.String(), "-")
	return cmp.Or(strings.TrimRight(name[:min(len(name), 56)], "-"), "route")
}
