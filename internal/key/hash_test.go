package key

import (
	"fmt"
	"hash/maphash"
	"math"
	"math/bits"
	"math/rand/v2"
	"net/netip"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit/internal/testsize"
)

// Keys of clients look alike. Both the low bits of their hash, which choose a shard, and the high
// bits, which choose a slot, spread as if at random.
func TestHashSpreadsKeysThatAreAlike(t *testing.T) {
	const n, places = 1 << 16, 1 << 10
	for name, key := range map[string]func(i int) Key{
		"IPv4 addresses in sequence": func(i int) Key { return Addr(netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}), 64) },
		"IPv4 networks in sequence":  func(i int) Key { return Addr(netip.AddrFrom4([4]byte{byte(i >> 8), byte(i), 0, 1}), 64) },
		"IPv6 networks in sequence": func(i int) Key {
			return Addr(netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, 0, 0, byte(i >> 8), byte(i)}), 64)
		},
		"users by number":    func(i int) Key { return Text(User, fmt.Sprint(i)) },
		"users by long text": func(i int) Key { return Text(User, fmt.Sprintf("tenant-%015d", i)) },
		"the last word only": func(i int) Key { return Key{tail: uint64(i) << 48} },
	} {
		t.Run(name, func(t *testing.T) {
			seed, seen := NewSeed(), map[uint64]bool{}
			var low, high [places]float64
			for i := range n {
				k := key(i)
				h := seed.Hash(&k)
				if seen[h] { // 65,536 calls of require cost more than the hashes
					require.Fail(t, "two keys with the same 64 bits")
				}
				seen[h] = true
				low[h%places]++
				high[h/(1<<54)]++
			}
			// Chi squared with places-1 degrees of freedom: 8 standard deviations on either side.
			for _, counts := range [][places]float64{low, high} {
				chi := 0.0
				for _, c := range counts {
					chi += (c - n/places) * (c - n/places) / (n / places)
				}
				assert.InDelta(t, places-1, chi, 8*math.Sqrt(2*(places-1)))
			}
		})
	}
}

// Each bit of a key, and each of the seed, changes every bit of the hash in about half of all
// cases.
func TestHashDependsOnEveryBit(t *testing.T) {
	n := testsize.Of(2000, 500)
	rnd := rand.New(rand.NewPCG(1, 2))
	for bit := range 192 + 64*len(Seed{}) {
		changed := 0
		for range n {
			seed := NewSeed()
			a := Key{rnd.Uint64(), rnd.Uint64(), rnd.Uint64()}
			b, other := a, seed
			switch mask := uint64(1) << (bit % 64); bit / 64 {
			case 0:
				b.head ^= mask
			case 1:
				b.mid ^= mask
			case 2:
				b.tail ^= mask
			default:
				other[bit/64-3] ^= mask
			}
			changed += bits.OnesCount64(seed.Hash(&a) ^ other.Hash(&b))
		}
		require.InDelta(t, 32, float64(changed)/float64(n), 2, "bit %d", bit)
	}
}

func BenchmarkHash(b *testing.B) {
	seed, hashes := NewSeed(), maphash.MakeSeed()
	b.Run("seed", func(b *testing.B) {
		sum := uint64(0)
		for i := range b.N {
			k := Key{head: uint64(i)}
			sum += seed.Hash(&k)
		}
		sink = sum
	})
	b.Run("maphash", func(b *testing.B) {
		sum := uint64(0)
		for i := range b.N {
			sum += maphash.Comparable(hashes, Key{head: uint64(i)})
		}
		sink = sum
	})
}

var sink uint64
