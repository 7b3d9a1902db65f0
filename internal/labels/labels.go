// Package labels remembers the text of keys that hold only a hash of it.
package labels

import (
	"sync"

	"github.com/ratelimit-go/ratelimit/internal/key"
)

// maxText is how many bytes of a text are kept.
const maxText = 128

// A Table remembers the texts of the keys that were seen last: from as many as it was made for, to
// twice as many. It is safe for concurrent use. A nil Table remembers nothing.
type Table struct {
	most int

	mu       sync.RWMutex
	now, old map[key.Key]string
}

// New returns a Table for most keys. It is nil if most is 0.
func New(most int) *Table {
	if most == 0 {
		return nil
	}
	return &Table{most: most, now: map[key.Key]string{}}
}

// Put remembers the text of k, cut to 128 bytes, in the form of [key.Key.String]: all but plain
// printable ASCII is quoted.
func (t *Table) Put(k key.Key, text string) {
	t.mu.RLock()
	_, known := t.now[k]
	t.mu.RUnlock()
	if known {
		return
	}
	if len(text) > maxText {
		text = text[:maxText] + "..."
	}
	text = key.Label(k, text)
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.now) >= t.most {
		t.now, t.old = make(map[key.Key]string, t.most), t.now
	}
	t.now[k] = text
}

// Find returns the text of k.
func (t *Table) Find(k key.Key) (string, bool) {
	if t == nil {
		return "", false
	}
	t.mu.RLock()
	defer t.mu.RUnlock()
	text, ok := t.now[k]
	if !ok {
		text, ok = t.old[k]
	}
	return text, ok
}
