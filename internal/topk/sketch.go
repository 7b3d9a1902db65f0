// Package topk finds the most frequent keys of a stream in bounded memory. It is the Space-Saving
// algorithm (Metwally, Agrawal, El Abbadi, ICDT 2005), in shards, over a window of time.
package topk

import (
	"slices"
	"sort"
	"sync"
)

// shardCount is how many parts a Sketch has. Each key belongs to one, so that counting different
// keys rarely waits for the same lock.
const shardCount = 8

// A Sketch counts keys in a bounded number of counters. It is safe for concurrent use.
//
// A key without a counter takes over the smallest counter of its shard. Its count begins at the
// count that it took over, which is its Error: it may have been counted as often before. So a count
// is never too low, and count - Error is never too high. The Error is at most the number of counts
// of the shard divided by its counters. Each key that was counted more often has a counter.
type Sketch[K comparable] struct {
	hash   func(K) uint64
	shards [shardCount]shard[K]
}

// A Count says how often a key was counted: at least N-Error and at most N times.
type Count[K comparable] struct {
	Key   K
	N     int64
	Error int64
	Last  int64 // the value of the last call of Add
}

// Least is how often the key was counted at least.
func (c *Count[K]) Least() int64 { return c.N - c.Error }

// shard is a part of a Sketch: a heap with the smallest count on top, and the place of each key.
type shard[K comparable] struct {
	mu    sync.Mutex
	size  int
	nodes map[K]*node[K]
	heap  []*node[K]
	_     [64]byte // the locks of two shards are on different cache lines
}

type node[K comparable] struct {
	Count[K]
	at int // index in heap
}

// New returns an empty Sketch with the given number of counters, rounded up to a multiple of the
// number of shards. The function hash must spread keys evenly.
func New[K comparable](counters int, hash func(K) uint64) *Sketch[K] {
	s := &Sketch[K]{hash: hash}
	size := max((counters+shardCount-1)/shardCount, 1)
	for i := range s.shards {
		s.shards[i].size = size
		s.shards[i].nodes = make(map[K]*node[K])
	}
	return s
}

// Add counts k once and keeps last as the last value of k. If k takes over the counter of another
// key, Add returns that key and true.
func (s *Sketch[K]) Add(k K, last int64) (dropped K, ok bool) {
	h := &s.shards[s.hash(k)%shardCount]
	h.mu.Lock()
	defer h.mu.Unlock()
	n := h.nodes[k]
	switch {
	case n != nil:
	case len(h.heap) < h.size:
		n = &node[K]{Count: Count[K]{Key: k}, at: len(h.heap)}
		h.heap, h.nodes[k] = append(h.heap, n), n
		h.up(n)
	default:
		n = h.heap[0]
		dropped, ok = n.Key, true
		delete(h.nodes, n.Key)
		h.nodes[k] = n
		n.Key, n.Error = k, n.N
	}
	n.N++
	n.Last = last
	h.down(n)
	return dropped, ok
}

// Find returns the count of k. If k has no counter, it was counted at most Error times.
func (s *Sketch[K]) Find(k K) Count[K] {
	h := &s.shards[s.hash(k)%shardCount]
	h.mu.Lock()
	defer h.mu.Unlock()
	c, _ := h.find(k)
	return c
}

// find is Find for a shard that is locked, and reports whether k has a counter.
func (h *shard[K]) find(k K) (c Count[K], ok bool) {
	if n := h.nodes[k]; n != nil {
		return n.Count, true
	}
	most := int64(0)
	if len(h.heap) == h.size {
		most = h.heap[0].N
	}
	return Count[K]{Key: k, N: most, Error: most}, false
}

// Top returns the n keys with the highest counts, highest first.
func (s *Sketch[K]) Top(n int) []Count[K] {
	best := make([]Count[K], 0, n+1)
	for i := range s.shards {
		h := &s.shards[i]
		h.mu.Lock()
		for _, node := range h.heap {
			best = insert(best, n, &node.Count)
		}
		h.mu.Unlock()
	}
	return best
}

// insert puts c into best, the n highest counts so far, if it is one of them.
func insert[K comparable](best []Count[K], n int, c *Count[K]) []Count[K] {
	if len(best) == n && (n == 0 || !higher(c, &best[n-1])) {
		return best
	}
	at := sort.Search(len(best), func(i int) bool { return higher(c, &best[i]) })
	best = slices.Insert(best, at, *c)
	return best[:min(len(best), n)]
}

// higher reports whether a comes before b.
func higher[K comparable](a, b *Count[K]) bool {
	return a.N > b.N || a.N == b.N && a.Error < b.Error
}

// up moves n towards the top while it is smaller than the node above.
func (h *shard[K]) up(n *node[K]) {
	for n.at > 0 && n.N < h.heap[(n.at-1)/2].N {
		h.swap(n, h.heap[(n.at-1)/2])
	}
}

// down moves n away from the top while a node below is smaller.
func (h *shard[K]) down(n *node[K]) {
	for {
		below := 2*n.at + 1
		if below >= len(h.heap) {
			return
		}
		if other := below + 1; other < len(h.heap) && h.heap[other].N < h.heap[below].N {
			below = other
		}
		if n.N <= h.heap[below].N {
			return
		}
		h.swap(n, h.heap[below])
	}
}

func (h *shard[K]) swap(a, b *node[K]) {
	a.at, b.at = b.at, a.at
	h.heap[a.at], h.heap[b.at] = a, b
}
