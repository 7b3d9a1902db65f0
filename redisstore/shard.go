package redisstore

import (
	"strconv"
	"strings"

	"github.com/ratelimit-go/ratelimit/store"
)

var _ store.Sharder = (*Store)(nil)

// Shard implements [store.Sharder]. It is the address of a server for a Cluster or a Ring of
// go-redis. For other clients that are Sharded, it is a range of 256 slots, because a server mostly
// has many slots in a row.
func (s *Store) Shard(key store.Key) string {
	if s.shard == nil {
		return ""
	}
	return s.shard(s.naming.buckets(s.naming.tag(key), ""))
}

// slotGroup returns a name for the range of slots that a key in Redis is in.
func slotGroup(name string) string { return "slots " + strconv.Itoa(int(slotOf(name)>>8<<8)) + "+" }

// slotOf returns the slot of a key in a Cluster: CRC16, as XMODEM has it, of the tag in braces.
func slotOf(name string) uint16 {
	if _, after, ok := strings.Cut(name, "{"); ok {
		if tag, _, ok := strings.Cut(after, "}"); ok && tag != "" {
			name = tag
		}
	}
	var crc uint16
	for i := range len(name) {
		crc ^= uint16(name[i]) << 8
		for range 8 {
			if crc&0x8000 != 0 {
				crc = crc<<1 ^ 0x1021
			} else {
				crc <<= 1
			}
		}
	}
	return crc & 0x3fff
}

// A shardError is the failure of one server of several.
type shardError struct {
	error
	shard string
}

// FailedShard tells which server it was, see [store.Sharder].
func (e shardError) FailedShard() string { return e.shard }

func (e shardError) Unwrap() error { return e.error }

// onShard adds to err which server failed.
func (s *Store) onShard(err error, key store.Key) error {
	if shard := s.Shard(key); shard != "" {
		return shardError{err, shard}
	}
	return err
}
