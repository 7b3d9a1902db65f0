package report

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/ratelimit-go/ratelimit/cmd/ratelimit/internal/plain"
	"github.com/ratelimit-go/ratelimit/cmd/ratelimit/internal/share"
)

const timeForm = "2006-01-02 15:04:05"

// WriteText prints r for people.
func (r *Report) WriteText(w io.Writer) error {
	var b strings.Builder
	r.writeTotals(&b)
	r.writeRules(&b)
	r.writeThen(&b)
	r.writeAgainst(&b)
	writeClients(&b, "Clients denied most", "denied", r.Top)
	r.writeNotes(&b)
	r.writeGate(&b)
	_, err := io.WriteString(w, b.String())
	return err
}

func (r *Report) writeGate(b *strings.Builder) {
	if r.Gate == nil {
		return
	}
	outcome := "passed"
	if !r.Gate.Passed {
		outcome = "FAILED"
	}
	if r.Requests == 0 {
		fmt.Fprintf(b, "\nGate %s: there was no request.\n", outcome)
		return
	}
	fmt.Fprintf(b, "\nGate %s: %s of %s denied, at most %s allowed (%s).\n", outcome,
		plain.Number(r.Clients.Denied), plain.Count(r.Clients.Total, "client"), plain.Number(r.Gate.Most),
		share.Percent(r.Gate.Max))
}

func (r *Report) writeTotals(b *strings.Builder) {
	if r.Requests == 0 {
		b.WriteString("No requests.\n")
		return
	}
	fmt.Fprintf(b, "%s of %s, %s to %s UTC (%s)\n",
		plain.Count(r.Requests, "request"), plain.Count(r.Clients.Total, "client"),
		r.From.UTC().Format(timeForm), r.To.UTC().Format(timeForm), strings.Join(r.Log.Formats, ", "))
	fmt.Fprintf(b, "%s denies %s (%s) of %s (%s)\n", r.Policy, plain.Count(r.Denied, "request"),
		percent(ratio(r.Denied, r.Requests)), plain.Count(r.Clients.Denied, "client"),
		percent(r.Clients.Share))
	if r.Blocks > 0 {
		fmt.Fprintf(b, "%s began\n", plain.Count(r.Blocks, "block"))
	}
}

func (r *Report) writeRules(b *strings.Builder) {
	if len(r.Rules) == 0 {
		return
	}
	b.WriteByte('\n')
	t := tabwriter.NewWriter(b, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "rule\tapplied\tdenied\twould deny\tclients denied\twithout key\t")
	for _, rule := range r.Rules {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t\n",
			rule.Name, plain.Number(rule.Applied), plain.Number(rule.Denied), plain.Number(rule.Dry),
			plain.Number(rule.Clients), plain.Number(rule.Missing))
	}
	_ = t.Flush() // a strings.Builder does not fail
}

func (r *Report) writeThen(b *strings.Builder) {
	if r.Then.Denied == 0 {
		return
	}
	fmt.Fprintf(b,
		"\nDenied then, by status 429 in the log: %s. Denied now too: %s. Denied now only: %s.\n",
		plain.Count(r.Then.Denied, "request"), plain.Number(r.Then.Both), plain.Number(r.Then.OnlyNow))
}

func (r *Report) writeAgainst(b *strings.Builder) {
	a := r.Against
	if a == nil {
		return
	}
	fmt.Fprintf(b, "\nAgainst %s, which denies %s\n", a.Policy, plain.Count(a.Denied, "request"))
	t := tabwriter.NewWriter(b, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "\tnewly denied\tnewly allowed\t")
	fmt.Fprintf(t, "requests\t%s\t%s\t\n", plain.Number(a.NewlyDenied), plain.Number(a.NewlyAllowed))
	fmt.Fprintf(t, "clients\t%s\t%s\t\n", plain.Number(a.DeniedNow), plain.Number(a.AllowedNow))
	for _, c := range a.Rules {
		fmt.Fprintf(t, "requests by %s\t%s\t%s\t\n",
			c.Name, plain.Number(c.NewlyDenied), plain.Number(c.NewlyAllowed))
	}
	_ = t.Flush() // a strings.Builder does not fail
	writeClients(b, "Clients newly denied most", "newly denied", a.Top)
}

func writeClients(b *strings.Builder, title, what string, clients []Client) {
	if len(clients) == 0 {
		return
	}
	fmt.Fprintf(b, "\n%s\n", title)
	for _, c := range clients {
		rules := slices.SortedFunc(maps.Keys(c.Rules), func(a, b string) int {
			return cmp.Or(cmp.Compare(c.Rules[b], c.Rules[a]), cmp.Compare(a, b))
		})
		fmt.Fprintf(b, "  %s: %s of %s %s, by %s\n", c.Client, plain.Number(c.Denied),
			plain.Count(c.Requests, "request"), what, strings.Join(rules, ", "))
		fmt.Fprintf(b, "    first  %s:%d  %s\n", c.First.File, c.First.Number, c.First.Text)
		fmt.Fprintf(b, "    last   %s:%d  %s\n", c.Last.File, c.Last.Number, c.Last.Text)
	}
}

func (r *Report) writeNotes(b *strings.Builder) {
	b.WriteByte('\n')
	l := &r.Log
	if l.Unreadable > 0 {
		fmt.Fprintf(b, "%s of %s cannot be read. The first:\n",
			plain.Number(l.Unreadable), plain.Count(l.Lines, "line"))
		for _, bad := range l.First {
			fmt.Fprintf(b, "    %s:%d: %s\n        %s\n", bad.File, bad.Number, bad.Reason, bad.Text)
		}
	} else {
		fmt.Fprintf(b, "Lines that cannot be read: none of %s.\n", plain.Number(l.Lines))
	}
	for _, note := range r.notes() {
		fmt.Fprintln(b, note)
	}
}

// notes returns what limits the report.
func (r *Report) notes() []string {
	var notes []string
	l := &r.Log
	if l.WholeSeconds > 0 {
		notes = append(notes,
			fmt.Sprintf("%s timed in whole seconds: requests of one second count as simultaneous.",
				linesAre(l.WholeSeconds)))
	}
	if l.Late > 0 {
		notes = append(notes,
			fmt.Sprintf("%s out of order by more than the window: decided at the time of the line before. "+
				"Set a longer -window.", linesAre(l.Late)))
	}
	if n := l.Lines - l.Unreadable; l.Timed < n {
		notes = append(notes,
			fmt.Sprintf("%s without a duration: such requests end when they begin, "+
				"so they are never in flight.", linesAre(n-l.Timed)))
	}
	for _, rule := range r.Rules {
		if rule.Missing > 0 {
			notes = append(notes,
				fmt.Sprintf("Rule %s found no key in %s. Requests without a key count together: "+
					"the log may not have the key.", rule.Name, plain.Count(rule.Missing, "request")))
		}
	}
	return append(notes, r.Notes...)
}

func ratio(n, of int64) float64 {
	if of == 0 {
		return 0
	}
	return float64(n) / float64(of)
}

func percent(of float64) string {
	return strconv.FormatFloat(of*100, 'f', 2, 64) + " %"
}

func linesAre(n int64) string {
	if n == 1 {
		return "1 line is"
	}
	return plain.Count(n, "line") + " are"
}

// widthText returns the width of a slot for people.
func widthText(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}
