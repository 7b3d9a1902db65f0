package main

import (
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"strings"
	"sync"
	"time"
)

// A hit is a request in a generated log.
type hit struct {
	begin, end             time.Time
	client, method, target string
	status, bytes          int
}

// field returns a field of testdata/examples.txt.
func (h *hit) field(name string) string {
	took := h.end.Sub(h.begin)
	stem, query, ok := strings.Cut(h.target, "?")
	if !ok {
		query = "-"
	}
	switch name {
	case "client":
		return h.client
	case "method":
		return h.method
	case "target":
		return h.target
	case "stem":
		return stem
	case "query":
		return query
	case "status":
		return fmt.Sprint(h.status)
	case "bytes":
		return fmt.Sprint(h.bytes)
	case "seconds":
		return fmt.Sprintf("%.3f", took.Seconds())
	case "millis":
		return fmt.Sprint(took.Milliseconds())
	case "micros":
		return fmt.Sprint(took.Microseconds())
	case "nanos":
		return fmt.Sprint(took.Nanoseconds())
	case "endUnix":
		return fmt.Sprintf("%d.%06d", h.end.Unix(), h.end.Nanosecond()/1e3)
	case "endDate":
		return h.end.Format(time.DateOnly)
	case "endTime":
		return h.end.Format(time.TimeOnly)
	case "beginHAProxy":
		return h.begin.Format("02/Jan/2006:15:04:05.000")
	}
	at, form := h.begin, map[bool]string{true: "02/Jan/2006:15:04:05 -0700", false: "2006-01-02T15:04:05.000Z07:00"}
	if strings.HasPrefix(name, "end") {
		at = h.end
	}
	return at.Format(form[strings.HasSuffix(name, "CLF")])
}

// An example writes the lines of one format.
type example struct{ format, head, line string }

var examples = sync.OnceValue(func() map[string]example {
	text, err := os.ReadFile(data("examples.txt"))
	if err != nil {
		panic(err)
	}
	all := map[string]example{}
	for block := range strings.SplitSeq(string(text), "\n\n") {
		parts := map[string]string{}
		for line := range strings.Lines(block) {
			name, value, _ := strings.Cut(line, ": ")
			parts[name] = strings.TrimSuffix(value, "\n")
		}
		if name := parts["name"]; name != "" {
			all[name] = example{parts["format"], parts["head"], parts["line"]}
		}
	}
	return all
})

// generate writes n lines of a combined log.
func generate(w io.Writer, n, clients int) { generateAs(w, examples()["combined"], n, clients) }

// generateAs writes n lines of a log, of clients whose sizes differ much. Requests take up to half
// a second, and the lines are in the order of their ends.
func generateAs(w io.Writer, e example, n, clients int) {
	random := rand.New(rand.NewPCG(1, 2))
	zipf := rand.NewZipf(random, 1.1, 4, uint64(clients-1))
	now := time.Date(2026, 11, 20, 0, 0, 0, 0, time.UTC)
	fmt.Fprintln(w, e.head)
	for range n {
		now = now.Add(time.Duration(random.IntN(200)) * time.Millisecond)
		c := zipf.Uint64()
		h := &hit{end: now, client: fmt.Sprintf("10.%d.%d.%d", c>>16, c>>8&255, c&255)}
		h.method, h.target, h.status = "GET", fmt.Sprintf("/orders/%d", random.IntN(10_000)), 200
		switch random.IntN(4) {
		case 0:
			h.method, h.target, h.status = "POST", "/login", 200+random.IntN(2)*201
		case 1:
			h.target = fmt.Sprintf("/search?q=tea&limit=%d", random.IntN(100))
		}
		h.bytes = random.IntN(9000)
		h.begin = now.Add(-time.Duration(random.IntN(500)) * time.Millisecond)
		fmt.Fprintln(w, os.Expand(e.line, h.field))
	}
}
