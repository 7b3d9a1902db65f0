package key

import (
	"crypto/rand"
	"encoding/binary"
	"hash/fnv"
	"math/bits"
)

// A Seed is the secret under which a table hashes its keys, so that no client can choose keys that
// share a place. The first step is NH of UMAC (Black, Halevi, Krawczyk, Krovetz, Rogaway, CRYPTO
// 1999): two different keys agree in its 128 bits with a probability of 2^-64 over the seeds. The
// second step spreads them over 64 bits, by the multiplication that the runtime's own hash uses on
// machines without AES.
//
// [hash/maphash] is as safe. It needs the key in memory and then waits for the words that were
// just written there: a decision takes a fifth longer (BenchmarkHash).
type Seed [6]uint64

// NewSeed returns a random seed.
func NewSeed() (s Seed) {
	var b [len(s) * 8]byte
	_, _ = rand.Read(b[:]) // never fails
	for i := range s {
		s[i] = binary.LittleEndian.Uint64(b[8*i:])
	}
	return s
}

// Percentile returns a number from 0 to 99 for k and a name. It is the same in every process.
func Percentile(name string, k Key) uint32 {
	h, b := fnv.New32a(), k.Bytes()
	_, _ = h.Write([]byte(name))
	_, _ = h.Write(b[:])
	return h.Sum32() % 100
}

// Hash returns 64 bits of hash. Any of them may choose a place.
func (s *Seed) Hash(k *Key) uint64 {
	hi, lo := bits.Mul64(k.head+s[0], k.mid+s[1])
	hi2, lo2 := bits.Mul64(k.tail+s[2], s[3])
	lo, carry := bits.Add64(lo, lo2, 0)
	hi, lo = bits.Mul64((hi+hi2+carry)^s[4], lo^s[5])
	return hi ^ lo
}
