package accesslog

import (
	"fmt"
	"io"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ratelimit-go/ratelimit/cmd/ratelimit/internal/earliest"
	"github.com/ratelimit-go/ratelimit/cmd/ratelimit/internal/plain"
)

// Options say how a Reader reads. The zero Options are valid.
type Options struct {
	Format   *Format        // nil detects the format of each source by its first lines
	Location *time.Location // of times without a zone; nil means UTC
	// Window is how far lines may be out of order in one source. Lines that are out of order by
	// more come late. Zero means a minute.
	Window time.Duration
	// MaxHeld bounds how many lines of a source are held to be sorted. Zero means 131,072. The
	// lines of all sources together take about 256 MiB at most.
	MaxHeld  int
	Progress *atomic.Int64 // if non-nil, counts the bytes read, before they are uncompressed
}

// Stats are counts of the lines that a Reader has read.
type Stats struct {
	Lines        int64 // without empty lines
	Unreadable   int64
	Late         int64 // out of order by more than the window
	WholeSeconds int64 // with a time in whole seconds
	Timed        int64 // with a duration
	First        []BadLine
	Formats      []string // the names of the formats, each once
}

// A BadLine is a line that cannot be read. Its texts are safe to print.
type BadLine struct {
	File   string `json:"file"`
	Number int64  `json:"line"`
	Reason string `json:"reason"`
	Text   string `json:"text"` // the beginning of the line
}

const maxBadLines = 10 // that are kept

// A Reader reads the entries of several sources, merged by time. It holds a bounded number of
// lines. Its methods are for one goroutine.
type Reader struct {
	opts    Options
	streams []*stream
	order   int64
	merged  earliest.Queue[*head]
	begun   bool // the first entries are in merged
	stats   Stats

	work    chan *batch
	closed  chan struct{}
	parsers sync.WaitGroup
}

// head is the next entry of a stream.
type head struct {
	entry  *Entry
	stream *stream
	place  int // of the stream
}

// Before reports whether h comes first. Entries of the same time come in the order of the sources.
func (h *head) Before(other *head) bool {
	if c := h.entry.Time.Compare(other.entry.Time); c != 0 {
		return c < 0
	}
	return h.place < other.place
}

// Open begins to read sources. Call Close in the end.
func Open(sources []Source, opts Options) *Reader {
	if opts.Location == nil {
		opts.Location = time.UTC
	}
	if opts.Window <= 0 {
		opts.Window = time.Minute
	}
	if opts.MaxHeld <= 0 {
		opts.MaxHeld = 128 << 10
	}
	if opts.Format != nil {
		opts.Format = opts.Format.In(opts.Location)
	}
	r := &Reader{opts: opts, work: make(chan *batch), closed: make(chan struct{})}
	for range runtime.GOMAXPROCS(0) {
		r.parsers.Add(1)
		go r.parseBatches()
	}
	held := new(int)
	for _, source := range sources {
		s := &stream{source: source, batches: make(chan *batch, 2)}
		s.sort = window{span: opts.Window, maxHeld: opts.MaxHeld, bytes: held}
		r.streams = append(r.streams, s)
	}
	for _, s := range r.streams {
		go r.read(s)
	}
	return r
}

// Close ends the goroutines of r. It does not wait for a read from a source that does not return,
// such as standard input.
func (r *Reader) Close() {
	close(r.closed)
	r.parsers.Wait()
}

// Next returns the next entry by time, and io.EOF in the end. Any other error ends the reading too,
// and its text is safe to print.
func (r *Reader) Next() (*Entry, error) {
	if !r.begun {
		r.begun = true
		for i, s := range r.streams {
			if err := r.push(&head{stream: s, place: i}); err != nil {
				return nil, err
			}
		}
	}
	if r.merged.Len() == 0 {
		return nil, io.EOF
	}
	h := r.merged.First()
	e := h.entry
	next, err := r.pull(h.stream)
	switch {
	case err != nil:
		return nil, err
	case next == nil:
		r.merged.Pop()
	default:
		h.entry = next
		r.merged.Moved()
	}
	return e, nil
}

// push adds the first entry of a stream.
func (r *Reader) push(h *head) (err error) {
	if h.entry, err = r.pull(h.stream); err == nil && h.entry != nil {
		r.merged.Push(h)
	}
	return err
}

// Stats returns the counts so far.
func (r *Reader) Stats() Stats {
	stats := r.stats
	for _, s := range r.streams {
		stats.Late += s.sort.late
	}
	return stats
}

// pull returns the next entry of s, or nil at its end.
func (r *Reader) pull(s *stream) (*Entry, error) {
	for !s.sort.ready() {
		more, err := r.advance(s)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", plain.Text(s.source.Name, 200), err)
		}
		if !more {
			break
		}
	}
	return s.sort.take(), nil
}

// advance reads one more line of s. It returns false at its end.
func (r *Reader) advance(s *stream) (bool, error) {
	for s.now == nil || s.next == len(s.now.lines) {
		if s.now != nil && s.now.end != nil {
			if s.now.end == io.EOF {
				return false, nil
			}
			return false, s.now.end
		}
		s.now, s.next = <-s.batches, 0
		<-s.now.parsed
		if f := s.now.format; f != nil && !slices.Contains(r.stats.Formats, f.name) {
			r.stats.Formats = append(r.stats.Formats, f.name)
		}
	}
	b, i := s.now, s.next
	s.next++
	if b.errs[i] == errDirective {
		return true, nil
	}
	r.stats.Lines++
	if b.errs[i] != nil {
		r.bad(s, b.numbers[i], b.lines[i], b.errs[i])
		return true, nil
	}
	e := b.entries[i]
	e.File, e.Number, e.order = s.source.Name, b.numbers[i], r.order
	r.order++
	if e.WholeSeconds {
		r.stats.WholeSeconds++
	}
	if e.Timed {
		r.stats.Timed++
	}
	s.sort.add(e)
	return true, nil
}

func (r *Reader) bad(s *stream, number int64, line string, err error) {
	r.stats.Unreadable++
	if len(r.stats.First) < maxBadLines {
		r.stats.First = append(r.stats.First, BadLine{
			File: plain.Text(s.source.Name, 200), Number: number, Reason: err.Error(),
			Text: plain.Text(line, 120),
		})
	}
}
