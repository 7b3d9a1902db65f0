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

// Clients choose how long a line is, so the lines that are held are bounded in bytes too.
func TestWindowIsBoundedInBytes(t *testing.T) {
	t.Parallel()
	w := window{span: time.Hour, maxHeld: 128 << 10}
	long := strings.Repeat("x", maxLine)
	for range maxHeldBytes/maxLine - 1 {
		w.add(&Entry{Line: long})
		require.False(t, w.ready())
	}
	w.add(&Entry{Line: long})
	assert.True(t, w.ready())
	w.take()
	assert.False(t, w.ready())
}
