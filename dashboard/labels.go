package dashboard

import (
	"strings"
	"sync"

	"github.com/ratelimit-go/ratelimit"
)

// Bounds of labels: two generations of maxLabels texts, of maxLabel bytes each.
const (
	maxLabels = 5000
	maxLabel  = 128
)

// labels keeps texts of keys that are hashes. When half of the room is used up, it forgets the
// labels that were not set again since the other half was full.
type labels struct {
	mu           sync.Mutex
	current, old map[ratelimit.Key]string
}

func (l *labels) set(k ratelimit.Key, text string) {
	text = clean(text, maxLabel)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.current == nil || len(l.current) >= maxLabels && l.current[k] == "" {
		l.current, l.old = make(map[ratelimit.Key]string), l.current
	}
	l.current[k] = text
}

func (l *labels) find(k ratelimit.Key) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	if text := l.current[k]; text != "" {
		return text
	}
	return l.old[k]
}

// clean returns text with at most limit bytes. Characters that do not print, or that change the
// direction of other text, become "?".
func clean(text string, limit int) string {
	cut := len(text) > limit
	if cut {
		text = text[:limit]
	}
	text = strings.Map(func(c rune) rune {
		if c < ' ' || c >= 0x7f && c < 0xa0 || c == '\uFFFD' || direction(c) {
			return '?'
		}
		return c
	}, text)
	if cut {
		text += "…"
	}
	return text
}

// direction reports whether c is invisible or changes the direction of text (Unicode TR 36).
func direction(c rune) bool {
	return c == '\u061C' || c >= '\u200B' && c <= '\u200F' || c >= '\u2028' && c <= '\u202E' ||
		c >= '\u2060' && c <= '\u206F' || c == '\uFEFF'
}
