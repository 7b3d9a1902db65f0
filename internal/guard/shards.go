package guard

import (
	"errors"
	"maps"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ratelimit-go/ratelimit/store"
)

const (
	// maxShards bounds the breakers, for all the names that a store may have for its servers.
	maxShards = 1024

	// shardForgotten is when a breaker that no call has asked for no longer says what the state of
	// the store is. Its server may be gone for good, because another one took its place.
	shardForgotten = 5 * time.Second
)

// shards are the breakers of the servers of a store. A store that is no [store.Sharder] has one.
type shards struct {
	of    func(store.Key) string // nil: one server
	whole shard

	mu    sync.RWMutex
	named map[string]*shard
	told  atomic.Pointer[store.State] // what was last reported; nil means Up
}

type shard struct {
	breaker
	name  string
	asked atomic.Int64 // when a call last wanted to pass
}

// forgotten reports whether no call has wanted to pass for a while.
func (s *shard) forgotten(now time.Duration) bool {
	return now-time.Duration(s.asked.Load()) > shardForgotten
}

// A passage is a call that may pass.
type passage struct {
	at   *shard
	t    ticket
	more []passage // if the batch is on several servers
}

// get returns the shard with this name. Without a name, or without room for more names, it is the
// whole store.
func (s *shards) get(now time.Duration, name string) *shard {
	if name == "" {
		return &s.whole
	}
	s.mu.RLock()
	at := s.named[name]
	s.mu.RUnlock()
	if at != nil {
		return at
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if at = s.named[name]; at != nil {
		return at
	}
	if len(s.named) >= maxShards { // servers come and go, with other addresses each time
		maps.DeleteFunc(s.named, func(_ string, at *shard) bool { return at.forgotten(now) })
	}
	if len(s.named) >= maxShards {
		return &s.whole
	}
	if s.named == nil {
		s.named = map[string]*shard{}
	}
	at = &shard{name: name}
	at.asked.Store(int64(now))
	at.random = s.whole.random
	s.named[name] = at
	return at
}

// allow reports whether a call for n keys may pass now: all of their servers must be in use. If so,
// tell done what became of it.
func (s *shards) allow(now time.Duration, followUp bool, n int, key func(i int) store.Key) (passage, bool) {
	if s.of == nil {
		return s.enter(&s.whole, now, followUp)
	}
	var all passage
	for i := range n {
		at := s.get(now, s.of(key(i)))
		if all.has(at) {
			continue
		}
		one, ok := s.enter(at, now, followUp)
		if !ok {
			s.spare(now, &all)
			return passage{}, false
		}
		if all.at == nil {
			all = one
		} else {
			all.more = append(all.more, one)
		}
	}
	return all, true
}

func (s *shards) enter(at *shard, now time.Duration, followUp bool) (passage, bool) {
	allow := at.allow
	if followUp {
		allow = at.allowFollowUp
	}
	if s.of != nil {
		at.asked.Store(int64(now))
	}
	t, ok := allow(now)
	return passage{at: at, t: t}, ok
}

func (t *passage) has(at *shard) bool {
	if t.at == at {
		return true
	}
	for i := range t.more {
		if t.more[i].at == at {
			return true
		}
	}
	return false
}

func (s *shards) spare(now time.Duration, t *passage) {
	if t.at != nil {
		t.at.spare(now, t.t)
	}
	for i := range t.more {
		t.more[i].at.spare(now, t.more[i].t)
	}
}

// done tells the breakers the outcome of a call. It returns the new state of the store if the
// outcome changed it, and "" otherwise.
func (s *shards) done(now time.Duration, t *passage, failure *store.Error) store.State {
	guilty := ""
	if failure != nil && len(t.more) > 0 {
		guilty = failedShard(failure.Err)
	}
	change := t.judge(now, failure, guilty)
	for i := range t.more {
		if c := t.more[i].judge(now, failure, guilty); c != "" {
			change = c
		}
	}
	if s.of == nil {
		return change
	}
	return s.changed(now, change)
}

// judge tells one breaker the outcome. If guilty is the name of another server, it says nothing
// about this one.
func (t *passage) judge(now time.Duration, failure *store.Error, guilty string) store.State {
	b := &t.at.breaker
	switch {
	case failure == nil:
		return b.done(now, t.t, false)
	case failure.Reason == store.ReasonInvalid, failure.Reason == store.ReasonKey,
		guilty != "" && guilty != t.at.name:
		// It says something about the ops, and nothing about the store.
		b.spare(now, t.t)
		return ""
	case repeats(failure.Err):
		return b.doneAgain(now, t.t)
	}
	return b.done(now, t.t, true)
}

// changed returns the state of the store if it differs from the state that was reported last.
func (s *shards) changed(now time.Duration, change store.State) store.State {
	if change == "" && s.told.Load() == nil {
		return ""
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	state, told := s.worst(now), store.Up
	if p := s.told.Load(); p != nil {
		told = *p
	}
	if state == told {
		return ""
	}
	if s.told.Store(&state); state == store.Up {
		s.told.Store(nil)
	}
	return state
}

// state returns the state of the store: of several servers, the state of the worst server.
func (s *shards) state(now time.Duration) store.State {
	if s.of == nil {
		return s.whole.storeState()
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.worst(now)
}

func (s *shards) worst(now time.Duration) store.State {
	worst := s.whole.storeState()
	for _, at := range s.named {
		if at.forgotten(now) {
			continue
		}
		switch state := at.storeState(); {
		case state == store.Down:
			return store.Down
		case state == store.Recovering:
			worst = state
		}
	}
	return worst
}

// failedShard returns the name of the server that failed, if the store tells it.
func failedShard(err error) (name string) {
	defer func() { _ = recover() }()
	var tells interface{ FailedShard() string }
	if errors.As(err, &tells) {
		return tells.FailedShard()
	}
	return ""
}
