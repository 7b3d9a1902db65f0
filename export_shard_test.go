package ratelimit

import "unsafe"

// A slot's id is written atomically, which on 32 bits it must be aligned for in each slot of a table.
var _ [0]struct{} = [unsafe.Sizeof(slot{}) % 8]struct{}{}

// Shards returns how many buckets each shard of s holds.
func Shards(s *MemoryStore) []int {
	held := make([]int, len(s.shards))
	for i := range s.shards {
		held[i] = s.shards[i].used
	}
	return held
}

// ShardOf returns the number of the shard that k is in.
func ShardOf(s *MemoryStore, k Key) int { return int(s.seed.hash(&k) & s.mask) }
