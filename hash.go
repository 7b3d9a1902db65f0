package ratelimit

import (
	"crypto/rand"
	"encoding/binary"
	"math/bits"
)

// hashSeed is the secret under which a table hashes its keys, so that nobody can choose keys which
// share a place. The first step is NH of UMAC (Black, Halevi, Krawczyk, Krovetz, Rogaway, CRYPTO
// 1999): two different keys agree in its 128 bits with a probability of 2^-64 over the seeds. The
// second spreads them over 64 bits by the same multiplication as the runtime's own hash does on
// machines without AES.
//
// It is not [hash/maphash], which is as safe, because that wants the key in memory and then waits for
// words that were just written there: a decision takes a quarter longer.
type hashSeed [6]uint64

func newHashSeed() (s hashSeed) {
	var b [len(s) * 8]byte
	_, _ = rand.Read(b[:]) // never fails
	for i := range s {
		s[i] = binary.LittleEndian.Uint64(b[8*i:])
	}
	return s
}

// hash returns 64 bits, all of them fit to choose a place by.
func (s *hashSeed) hash(k *Key) uint64 {
	hi, lo := bits.Mul64(k.head+s[0], k.mid+s[1])
	hi2, lo2 := bits.Mul64(k.tail+s[2], s[3])
	lo, carry := bits.Add64(lo, lo2, 0)
	hi, lo = bits.Mul64((hi+hi2+carry)^s[4], lo^s[5])
	return hi ^ lo
}
