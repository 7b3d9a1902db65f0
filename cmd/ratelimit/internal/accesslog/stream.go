package accesslog

import (
	"cmp"
	"fmt"
	"io"
	"strings"
	"time"
)

// A batch is handed from one goroutine to another, so it has as many lines as make that cheap. Its
// bytes are bounded because clients choose how long a line is.
const (
	batchLines = 256
	batchBytes = 1 << 20
)

// ahead returns how many lines and bytes a batch has. A stream reads some batches ahead, and a
// replay may have thousands of files, so all together hold about as much as 16 files.
func ahead(sources int) (lines, bytes int) {
	share := max(sources/16, 1)
	return max(batchLines/share, 16), max(batchBytes/share, maxLine)
}

// A batch is some lines of one file, in their order.
type batch struct {
	format  *Format
	lines   []string
	numbers []int64
	bytes   int     // of lines
	errs    []error // from reading or parsing; nil for a good line
	entries []*Entry
	parsed  chan struct{} // closed when entries and errs are there
	end     error         // after these lines: io.EOF, or why reading ended
}

func newBatch() *batch { return &batch{parsed: make(chan struct{})} }

// add adds a line. An empty line is none.
func (b *batch) add(line string, number int64, err error) {
	if line == "" && err == nil {
		return
	}
	b.lines, b.numbers, b.errs = append(b.lines, line), append(b.numbers, number), append(b.errs, err)
	b.bytes += len(line)
}

// parse makes entries of the lines.
func (b *batch) parse() {
	b.entries = make([]*Entry, len(b.lines))
	r := new(raw)
	for i, line := range b.lines {
		if b.errs[i] == nil {
			b.entries[i] = new(Entry) // an entry that is kept must not keep its batch
			b.errs[i] = b.format.parseBy(r, line, b.entries[i])
		}
	}
	close(b.parsed)
}

// A stream is one file whose lines are read and parsed ahead, by a goroutine that ends with the
// file, or after Close of the Reader when a read from the file has returned.
type stream struct {
	source  Source
	batches chan *batch // in the order of the file

	now  *batch // being consumed
	next int    // in now
	sort window
}

// read sends the batches of s. It is a goroutine.
func (r *Reader) read(s *stream) {
	lines, err := openLines(s.source, r.opts.Progress)
	if err != nil {
		b := newBatch()
		b.end = err
		r.send(s, b)
		return
	}
	defer lines.closer.Close()
	format := r.opts.Format
	maxLines, maxBytes := ahead(len(r.streams))
	for {
		b := newBatch()
		b.format = format
		directive := b.fill(lines, maxLines, maxBytes)
		switch {
		case directive != "":
			format = w3cOf(directive) // of the lines after b
			b.format = cmp.Or(b.format, format)
		case format == nil && len(b.lines) > 0:
			b.detect(r.opts.Location)
			format = b.format
		}
		if b.end != nil && b.end != io.EOF && b.end != errUnknown {
			b.end = fmt.Errorf("line %d: %w", lines.number+1, b.end)
		}
		if !r.send(s, b) || b.end != nil {
			return
		}
	}
}

// fill reads lines into b. It ends early at a directive that names columns, and returns it.
func (b *batch) fill(lines *lineReader, maxLines, maxBytes int) (directive string) {
	if b.format == nil {
		maxLines = sampleLines
	}
	for len(b.lines) < maxLines && b.bytes < maxBytes {
		line, err := lines.next()
		if err != nil && err != errLong {
			b.end = err
			return ""
		}
		mayBeW3C := b.format == nil || b.format.name == w3cName
		if mayBeW3C && err == nil && strings.HasPrefix(line, w3cFields) {
			return line
		}
		b.add(line, lines.number, err)
	}
	return ""
}

// detect finds the format of the lines of b. If no format reads them, b ends with an error instead
// of lines.
func (b *batch) detect(loc *time.Location) {
	f, err := detect(b.lines)
	if err != nil {
		b.lines, b.end = nil, err
		return
	}
	b.format = f.In(loc)
}

// send hands b to a parser and to the consumer. It returns false after Close.
func (r *Reader) send(s *stream, b *batch) bool {
	select {
	case r.work <- b:
	case <-r.closed:
		return false
	}
	select {
	case s.batches <- b:
		return true
	case <-r.closed:
		return false
	}
}

// parseBatches parses until Close. It is a goroutine.
func (r *Reader) parseBatches() {
	defer r.parsers.Done()
	for {
		select {
		case b := <-r.work:
			b.parse()
		case <-r.closed:
			return
		}
	}
}
