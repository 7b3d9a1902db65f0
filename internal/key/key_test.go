package key

import (
	"net/netip"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// A Key holds text of every length up to 22 bytes as it is. Longer text is hashed.
func TestTextOfEveryLength(t *testing.T) {
	const text = "0123456789abcdefghijkl"
	for n := 1; n <= inline; n++ {
		b, err := Text(User, text[:n]).AppendBinary(nil)
		require.NoError(t, err)
		require.Equal(t, append([]byte{byte(User), byte(n)}, text[:n]...), b)
		var all [Size]byte
		copy(all[:], b)
		require.Equal(t, Text(User, text[:n]), of(&all), "what is behind the text is zero")
	}
	b, _ := Text(User, text+"m").AppendBinary(nil)
	require.Equal(t, []byte{byte(User) | hashedFlag, inline}, b[:header])
}

// FuzzKeys makes many keys of four texts: those made in the same way of the same texts are equal,
// and no others are.
func FuzzKeys(f *testing.F) {
	f.Fuzz(func(t *testing.T, a, b, c, d string) {
		if len(a)+len(b)+len(c)+len(d) > 8*128 { // so that long values are hashed twice
			t.Skip()
		}
		made := map[Key]string{}
		keep := func(k Key, how string, parts ...string) Key {
			how += strconv.Quote(strings.Join(quoteAll(parts), ","))
			before, found := made[k]
			require.True(t, k.IsZero() || !found || before == how, "%s and %s are the same key", before, how)
			made[k] = how
			requireKey(t, k)
			return k
		}
		users := []Key{keep(user(a), "user", a), keep(user(b), "user", b), keep(user(c), "user", c), keep(user(d), "user", d)}
		named := []Key{
			keep(Pair(a, b), "named", a, b), keep(Pair(c, d), "named", c, d), keep(Pair(a, b+c), "named", a, b+c),
			keep(Pair(a+b, c), "named", a+b, c), keep(Pair("", d), "named", "", d),
		}
		keep(Join(users[0], users[1]), "join", "u", a, "u", b)
		keep(Join(users[2], users[3]), "join", "u", c, "u", d)
		keep(Join(users[1], users[0]), "join", "u", b, "u", a)
		keep(Join(users[0]), "join", "u", a)
		keep(Join(users[0], users[1], users[2]), "join", "u", a, "u", b, "u", c)
		keep(Join(named[0], users[2]), "join", "n", a, b, "u", c)
		keep(Join(named[2], users[3]), "join", "n", a, b+c, "u", d)
		keep(Join(Join(users[0], users[1]), users[2]), "join", "j", "u", a, "u", b, "end", "u", c)
		keep(Join(users[0], Join(users[1], users[2])), "join", "u", a, "j", "u", b, "u", c, "end")
		if addr, err := netip.ParseAddr(a); err == nil {
			keep(Addr(addr.Unmap().WithZone(""), 128), "addr", addr.Unmap().WithZone("").String())
		}
	})
}

func user(id string) Key { return Text(User, id) }

func quoteAll(parts []string) []string {
	quoted := make([]string, len(parts))
	for i, p := range parts {
		quoted[i] = strconv.Quote(p)
	}
	return quoted
}

// requireKey checks what holds for every key.
func requireKey(t *testing.T, k Key) {
	t.Helper()
	b, err := k.AppendBinary(nil)
	require.NoError(t, err)
	require.LessOrEqual(t, len(b), 24)
	for _, c := range []byte(k.String()) {
		require.True(t, c >= ' ' && c <= '~', "%q", k)
	}
}
