package accesslog

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func itoa(n int64) string { return strconv.FormatInt(n, 10) }

// line returns a line of the combined format, second seconds after midnight.
func line(second int, target string) string {
	at := time.Date(2026, 11, 20, 0, 0, second, 0, time.UTC)
	return fmt.Sprintf(`192.0.2.7 - - [%s] "GET %s HTTP/1.1" 200 5 "-" "-"`, at.Format("02/Jan/2006:15:04:05 -0700"), target)
}

func source(name, text string) Source {
	return Source{name, func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(text)), nil }}
}

// readAll returns "target@second" of each entry, and the counts.
func readAll(t *testing.T, opts Options, sources ...Source) ([]string, Stats) {
	t.Helper()
	r := Open(sources, opts)
	defer r.Close()
	var got []string
	for {
		e, err := r.Next()
		if err == io.EOF {
			return got, r.Stats()
		}
		require.NoError(t, err)
		got = append(got, fmt.Sprintf("%s@%d", e.Target, e.Time.Unix()-e.Time.Truncate(24*time.Hour).Unix()))
	}
}

func TestFilesAreMergedByTime(t *testing.T) {
	t.Parallel()
	a := line(1, "/a1") + "\n" + line(3, "/a3") + "\n" + line(5, "/a5") + "\n"
	b := line(2, "/b2") + "\r\n\r\n" + line(3, "/b3") + "\n" + line(9, "/b9") // no end of line
	got, stats := readAll(t, Options{}, source("a", a), source("b", b), source("empty", ""))
	assert.Equal(t, []string{"/a1@1", "/b2@2", "/a3@3", "/b3@3", "/a5@5", "/b9@9"}, got)
	assert.Equal(t, Stats{Lines: 6, WholeSeconds: 6, Formats: []string{"combined"}}, stats)
}

func TestGzipIsRead(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	for i := range 2 { // two members, as logrotate and cat make them
		w := gzip.NewWriter(&b)
		fmt.Fprintln(w, line(i, "/"+itoa(int64(i))))
		require.NoError(t, w.Close())
	}
	got, _ := readAll(t, Options{}, source("a.gz", b.String()))
	assert.Equal(t, []string{"/0@0", "/1@1"}, got)

	r := Open([]Source{source("cut.gz", b.String()[:b.Len()-9])}, Options{})
	defer r.Close()
	var err error
	for err == nil {
		_, err = r.Next()
	}
	assert.EqualError(t, err, "cut.gz: line 3: unexpected EOF")
}

func TestLinesAreSortedWithinTheWindow(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 2))
	var text strings.Builder
	for i := range 3000 {
		fmt.Fprintln(&text, line(i+random.IntN(20), "/"))
	}
	got, stats := readAll(t, Options{Window: 20 * time.Second}, source("a", text.String()))
	last := 0
	for _, one := range got {
		second, err := strconv.Atoi(one[2:])
		require.NoError(t, err)
		require.GreaterOrEqual(t, second, last)
		last = second
	}
	assert.Len(t, got, 3000)
	assert.Zero(t, stats.Late)

	_, stats = readAll(t, Options{Window: time.Second}, source("a", text.String()))
	assert.NotZero(t, stats.Late, "lines beyond the window are counted")
	_, stats = readAll(t, Options{Window: time.Hour, MaxHeld: 4}, source("a", text.String()))
	assert.NotZero(t, stats.Late, "the memory is bounded")
}

func TestEqualTimesKeepTheOrderOfTheFile(t *testing.T) {
	t.Parallel()
	var text strings.Builder
	var want []string
	for i := range 1000 {
		fmt.Fprintln(&text, line(i/100, "/"+itoa(int64(i))))
		want = append(want, fmt.Sprintf("/%d@%d", i, i/100))
	}
	got, _ := readAll(t, Options{}, source("a", text.String()))
	assert.Equal(t, want, got)
}

func TestUnreadableLinesAreCountedAndShown(t *testing.T) {
	t.Parallel()
	var text strings.Builder
	for i := range 400 {
		fmt.Fprintln(&text, line(i, "/"))
		if i%20 == 0 {
			fmt.Fprintln(&text, "bad \x1b]0;title\x07 \xff line")
		}
	}
	fmt.Fprintln(&text, line(400, "/"+strings.Repeat("x", maxLine)))
	got, stats := readAll(t, Options{}, source("a\nb", text.String()))
	assert.Len(t, got, 400)
	assert.EqualValues(t, 421, stats.Lines)
	assert.EqualValues(t, 21, stats.Unreadable)
	require.Len(t, stats.First, maxBadLines)
	assert.Equal(t, BadLine{
		File: `a\x0ab`, Number: 2, Reason: `want " " after $ident`, Text: `bad \x1b]0;title\x07 \xff line`,
	}, withReason(stats.First[0], `want " " after $ident`))
	assert.EqualValues(t, 23, stats.First[1].Number)
}

// withReason lets the words of a reason change.
func withReason(b BadLine, reason string) BadLine { b.Reason = reason; return b }

func TestLongLinesAreUnreadable(t *testing.T) {
	t.Parallel()
	long := line(1, "/"+strings.Repeat("x", 3*maxLine))
	got, stats := readAll(t, Options{}, source("a", line(0, "/a")+"\n"+long+"\n"+line(2, "/b")))
	assert.Equal(t, []string{"/a@0", "/b@2"}, got)
	require.Len(t, stats.First, 1)
	assert.Equal(t, "the line is longer than 64 KiB", stats.First[0].Reason)
	assert.Less(t, len(stats.First[0].Text), 200)
	assert.EqualValues(t, 2, stats.First[0].Number)
}

func TestErrorsNameTheFile(t *testing.T) {
	t.Parallel()
	for want, s := range map[string]Source{
		"gone: no such file":         {"gone", func() (io.ReadCloser, error) { return nil, errors.New("no such file") }},
		"odd: " + errUnknown.Error(): source("odd", "who\nknows\n"),
		"a.xz: compressed by xz: want plain text or gzip, so decompress it first":    source("a.xz", "\xfd7zXZ\x00\x00\x04"),
		"a.zst: compressed by zstd: want plain text or gzip, so decompress it first": source("a.zst", "\x28\xb5\x2f\xfd"),
		"a.gz: unexpected EOF": source("a.gz", "\x1f\x8b"),
	} {
		r := Open([]Source{s, source("a", line(1, "/"))}, Options{})
		_, err := r.Next()
		assert.EqualError(t, err, want)
		r.Close()
	}
}

func TestCloseEndsTheGoroutinesEarly(t *testing.T) {
	t.Parallel()
	text := strings.Repeat(line(1, "/")+"\n", 5000)
	r := Open([]Source{source("a", text), source("b", text)}, Options{})
	_, err := r.Next()
	require.NoError(t, err)
	r.Close()
}

func TestCloseDoesNotWaitForASourceThatHangs(t *testing.T) {
	t.Parallel()
	in, out := io.Pipe()
	defer out.Close()
	hangs := Source{"-", func() (io.ReadCloser, error) { return in, nil }}
	r := Open([]Source{source("odd", "who\nknows\n"), hangs}, Options{})
	_, err := r.Next()
	require.ErrorIs(t, err, errUnknown)
	r.Close()
}
