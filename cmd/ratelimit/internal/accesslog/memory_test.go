package accesslog

import (
	"fmt"
	"io"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func inUse() int {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc)
}

// An entry that is kept, such as a request that takes hours, does not keep the lines around it.
func TestEntryDoesNotKeepItsBatch(t *testing.T) {
	var text strings.Builder
	for i := range 4 * batchLines {
		fmt.Fprintln(&text, line(i, "/"+strings.Repeat("x", 8<<10)))
	}
	before := inUse()
	r := Open([]Source{source("a", text.String())}, Options{Window: time.Second})
	defer r.Close()
	var kept []*Entry
	for n := 0; ; n++ {
		e, err := r.Next()
		if err == io.EOF {
			break
		}
		require.NoError(t, err)
		if n%100 == 0 {
			kept = append(kept, e)
		}
	}
	assert.Less(t, inUse()-before, 5<<20, "11 of 1024 lines of 8 KiB, and the last batch")
	runtime.KeepAlive(kept)
	runtime.KeepAlive(&text)
}

// Clients choose how long a line is, so the lines that are held are bounded in bytes too, over all
// files.
func TestWindowsAreBoundedInBytes(t *testing.T) {
	t.Parallel()
	held := new(int)
	a, b := window{span: time.Hour, maxHeld: 128 << 10, bytes: held}, window{span: time.Hour, maxHeld: 128 << 10, bytes: held}
	long := &Entry{Line: strings.Repeat("x", maxLine)}
	fit := maxHeldBytes / long.size()
	for i := range fit {
		w := []*window{&a, &b}[i%2]
		w.add(long)
		require.False(t, w.ready())
	}
	a.add(long)
	assert.True(t, a.ready())
	assert.True(t, b.ready())
	b.take()
	assert.False(t, a.ready())
	for range fit {
		a.take()
		b.take()
	}
	assert.Zero(t, *held)
}

// A goroutine that reads ahead holds batches, whose lines may be long too.
func TestBatchesAreBoundedInBytes(t *testing.T) {
	t.Parallel()
	long := strings.Repeat(strings.Repeat("x", maxLine-1)+"\n", 40)
	lines, err := openLines(source("a", long), nil)
	require.NoError(t, err)
	b := newBatch()
	b.format = w3c
	b.fill(lines, batchLines, batchBytes)
	assert.LessOrEqual(t, b.bytes, batchBytes+maxLine)
	assert.Len(t, b.lines, batchBytes/maxLine+1)
}

// All files of a replay together are read ahead by a bounded number of lines.
func TestManyFilesReadLittleAhead(t *testing.T) {
	t.Parallel()
	for sources, want := range map[int][2]int{
		1: {256, 1 << 20}, 31: {256, 1 << 20}, 32: {128, 512 << 10}, 168: {25, 1 << 20 / 10}, 5000: {16, 64 << 10},
	} {
		lines, bytes := ahead(sources)
		assert.Equal(t, want, [2]int{lines, bytes}, "%d files", sources)
	}
	var files []Source
	for i := range 40 {
		files = append(files, source(fmt.Sprint(i), strings.Repeat(line(i, "/")+"\n", 300)))
	}
	got, _ := readAll(t, Options{}, files...)
	assert.Len(t, got, 40*300)
}
