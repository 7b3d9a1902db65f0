package memory

import (
	"math/bits"
	"sync/atomic"

	"github.com/ratelimit-go/ratelimit/internal/key"
	"github.com/ratelimit-go/ratelimit/store"
)

// A census counts the buckets of each limit and of each network. Counters are shared by few limits
// or networks, so a count may be too high. That costs the later ones a place of their own and
// nothing else.
type census struct {
	sample uint64 // a key is counted if its hash has none of these bits
	factor uint   // each counted key stands for 1<<factor
	limits [1024]atomic.Int32
	narrow [1024]atomic.Int32 // networks
	wide   [256]atomic.Int32
}

// The shares of the places of a store. While less than half of them are taken, every key gets
// one. After that a limit may have as many as limitShare times the free places, a narrow network a
// part of the free places, and a wide network as many as are free. So a flood leaves room for
// others: Choudhury and Hahne, Dynamic Queue Length Thresholds for Shared-Memory
// Packet Switches, IEEE/ACM Transactions on Networking 6 (1998).
const (
	limitShare  = 4
	narrowShare = 16 // one in 16
)

// newCensus prepares a census of at most maxKeys buckets. It counts about 65,536 of them, which is
// as good and nearly free.
func (c *census) prepare(maxKeys int) {
	c.factor = uint(bits.Len(uint(maxKeys >> 16)))
	c.sample = (1<<c.factor - 1) << 16
}

// add adds n to the counts of key under the limit id.
func (c *census) add(seed *key.Seed, id uint64, k *store.Key, hash uint64, n int32) {
	if hash&c.sample != 0 {
		return
	}
	c.ofLimit(id).Add(n)
	if narrow, wide, ok := key.Network(*k); ok {
		c.narrow[seed.Hash(&narrow)%uint64(len(c.narrow))].Add(n)
		c.wide[seed.Hash(&wide)%uint64(len(c.wide))].Add(n)
	}
}

func (c *census) ofLimit(id uint64) *atomic.Int32 {
	return &c.limits[id*0x9e3779b97f4a7c15>>54] // Fibonacci hashing: the indexes of a rule differ, too
}

// allows reports whether key may have one more bucket under the limit id, if so many places are
// free.
func (c *census) allows(seed *key.Seed, id uint64, k *store.Key, free int64) bool {
	if c.has(c.ofLimit(id))/limitShare >= free {
		return false
	}
	narrow, wide, ok := key.Network(*k)
	return !ok ||
		c.has(&c.narrow[seed.Hash(&narrow)%uint64(len(c.narrow))]) <= free/narrowShare &&
			c.has(&c.wide[seed.Hash(&wide)%uint64(len(c.wide))]) <= free
}

func (c *census) has(n *atomic.Int32) int64 { return int64(n.Load()) << c.factor }
