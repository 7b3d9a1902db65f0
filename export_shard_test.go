package ratelimit

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
