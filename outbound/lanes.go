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
	most int

	mu     sync.Mutex
	byKey  map[string]*list.Element // of *entry
	oldest *list.List               // used longest ago first
	shared *lane                    // of keys without room
}

type entry struct {
	lane  *lane
	users int // requests that wait or are in flight
}

func newLanes(most int) *lanes {
	return &lanes{
		most:  most,
		byKey: map[string]*list.Element{}, oldest: list.New(),
		shared: newLane("keys without room"),
	}
}

// use returns the lane of a key, and whether there was room for it. The caller calls release.
func (ls *lanes) use(key string) (l *lane, release func(), room bool) {
	if len(key) > maxKey {
		sum := sha256.Sum256([]byte(key))
		key = "sha256 " + hex.EncodeToString(sum[:])
	}
	ls.mu.Lock()
	defer ls.mu.Unlock()
	e := ls.byKey[key]
	if e == nil {
		if len(ls.byKey) >= ls.most && !ls.forget(time.Now()) {
			return ls.shared, func() {}, false
		}
		e = ls.oldest.PushBack(&entry{lane: newLane(key)})
		ls.byKey[key] = e
	}
	ls.oldest.MoveToBack(e)
	used := e.Value.(*entry)
	used.users++
	return used.lane, func() {
		ls.mu.Lock()
		defer ls.mu.Unlock()
		used.users--
	}, true
}

// forget forgets a key that is not in use, and for which no wait holds. It looks at a few keys
// only: each key that cannot be forgotten counts as used now.
func (ls *lanes) forget(now time.Time) bool {
	for range min(probes, ls.oldest.Len()) {
		e := ls.oldest.Front()
		if old := e.Value.(*entry); old.users == 0 && old.lane.idle(now) {
			delete(ls.byKey, old.lane.key)
			ls.oldest.Remove(e)
			return true
		}
		ls.oldest.MoveToBack(e)
	}
	return false
}
