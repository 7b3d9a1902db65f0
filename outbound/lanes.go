package outbound

import (
	"container/list"
	"crypto/sha256"
	"encoding/hex"
	"sync"
	"time"
)

const (
	// maxKey bounds the bytes of a key. A longer key is replaced by its hash.
	maxKey = 256
	// probes is how many keys are looked at to find a key that can be forgotten.
	probes = 32
)

// lanes are the lanes of a Transport by key. Their number is bounded.
type lanes struct {
	most    int
	longest time.Duration // wait after an answer

	mu     sync.Mutex
	byKey  map[string]*list.Element // of *entry
	oldest *list.List               // used longest ago first
	shared *lane                    // of keys without room
}

type entry struct {
	lane  *lane
	users int // requests that wait or are in flight
}

func newLanes(most int, longest time.Duration) *lanes {
	return &lanes{
		most: most, longest: longest,
		byKey: map[string]*list.Element{}, oldest: list.New(),
		shared: newLane("keys without room", longest),
	}
}

// A room says what there was for a new key.
type room int

const (
	enough room = iota
	taken       // from a key for which a wait holds
	none
)

// use returns the lane of a key, and what room there was for it. The caller calls release.
func (ls *lanes) use(key string) (l *lane, release func(), r room) {
	if len(key) > maxKey {
		sum := sha256.Sum256([]byte(key))
		key = "sha256 " + hex.EncodeToString(sum[:])
	}
	ls.mu.Lock()
	defer ls.mu.Unlock()
	e := ls.byKey[key]
	if e == nil {
		if len(ls.byKey) >= ls.most {
			r = ls.forget(time.Now())
		}
		if r == none {
			return ls.shared, func() {}, r
		}
		e = ls.oldest.PushBack(&entry{lane: newLane(key, ls.longest)})
		ls.byKey[key] = e
	}
	ls.oldest.MoveToBack(e)
	used := e.Value.(*entry)
	used.users++
	return used.lane, func() {
		ls.mu.Lock()
		defer ls.mu.Unlock()
		used.users--
	}, r
}

// forget forgets a key that is not in use. It prefers keys for which no wait holds. Without such a
// key it forgets the key used longest ago. Otherwise servers that ask for long waits would leave no
// room for others. It looks at a few keys only: each key that it does not forget counts as used
// now.
func (ls *lanes) forget(now time.Time) room {
	var waits *list.Element
	for range min(probes, ls.oldest.Len()) {
		e := ls.oldest.Front()
		if old := e.Value.(*entry); old.users == 0 {
			if old.lane.idle(now) {
				ls.remove(e)
				return enough
			}
			if waits == nil {
				waits = e
			}
		}
		ls.oldest.MoveToBack(e)
	}
	if waits == nil {
		return none
	}
	ls.remove(waits)
	return taken
}

func (ls *lanes) remove(e *list.Element) {
	delete(ls.byKey, e.Value.(*entry).lane.key)
	ls.oldest.Remove(e)
}
