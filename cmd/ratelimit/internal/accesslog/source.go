package accesslog

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync/atomic"
)

// A Source is a log to read: plain or compressed by gzip.
type Source struct {
	Name string // for messages
	Open func() (io.ReadCloser, error)
}

const (
	maxLine     = 64 << 10 // longer lines are not read
	sampleLines = 100      // for detect
)

// otherMagic has the beginnings of files that other programs than gzip have compressed.
var otherMagic = map[string]string{
	"\x28\xb5\x2f\xfd": "zstd", "\xfd7zXZ": "xz", "BZh": "bzip2", "PK\x03\x04": "zip",
}

// errLong means that a line is longer than maxLine.
var errLong = fmt.Errorf("the line is longer than %d KiB", maxLine>>10)

// lineReader reads the lines of a source.
type lineReader struct {
	buf    *bufio.Reader
	closer io.Closer
	number int64
}

// openLines opens a source. It adds the bytes read to progress, before they are uncompressed.
func openLines(s Source, progress *atomic.Int64) (*lineReader, error) {
	file, err := s.Open()
	if err != nil {
		return nil, err
	}
	buf := bufio.NewReaderSize(&countingReader{file, progress}, maxLine)
	magic, _ := buf.Peek(6)
	for begin, name := range otherMagic {
		if strings.HasPrefix(string(magic), begin) {
			err := fmt.Errorf("compressed by %s: want plain text or gzip, so decompress it first", name)
			return nil, errors.Join(err, file.Close())
		}
	}
	if strings.HasPrefix(string(magic), "\x1f\x8b") {
		unzipped, err := gzip.NewReader(buf)
		if err != nil {
			return nil, errors.Join(err, file.Close())
		}
		buf = bufio.NewReaderSize(unzipped, maxLine)
	}
	return &lineReader{buf: buf, closer: file}, nil
}

// next returns the next line without its end. Of a line that is too long it returns the beginning
// and errLong. At the end it returns io.EOF.
func (l *lineReader) next() (string, error) {
	line, err := l.buf.ReadSlice('\n')
	if err == io.EOF && len(line) > 0 {
		err = nil
	}
	if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
		return "", err
	}
	if l.number++; l.number == 1 {
		line = bytes.TrimPrefix(line, []byte("\ufeff"))
	}
	if err == nil {
		return string(bytes.TrimRight(line, "\r\n")), nil
	}
	start := string(line[:1<<10])
	for errors.Is(err, bufio.ErrBufferFull) {
		_, err = l.buf.ReadSlice('\n')
	}
	if err != nil && err != io.EOF {
		return "", err
	}
	return start, errLong
}

// countingReader counts the bytes that it reads.
type countingReader struct {
	io.Reader
	n *atomic.Int64
}

func (c *countingReader) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	if c.n != nil {
		c.n.Add(int64(n))
	}
	return n, err
}
