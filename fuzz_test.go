package ratelimit_test

import (
	"net/http"
	"net/netip"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit"
)

// maxFuzz bounds the input of a target in bytes. Longer input says nothing new, and go test
// would stand still for up to a minute to shorten each one that does.
const maxFuzz = 128

var (
	bracketed  = regexp.MustCompile(`^\[(.*:.*)\]$`)
	quotedNode = regexp.MustCompile(`^"([^"\\]*)"$`)
	hiddenPort = regexp.MustCompile(`^(.+):_.*$`)
	nat64      = netip.MustParsePrefix("64:ff9b::/96")
)

// walk is the model of every walk from right to left: members are the entries of the header from
// left to right, "" for junk. It returns the zero Addr for no identity.
func walk(remote string, members []string, trusted func(a netip.Addr, hop int) bool) netip.Addr {
	peer := modelAddr(remote)
	unix := remote == "" || remote[0] == '@' || remote[0] == '/'
	if peer.IsValid() && !trusted(peer, 0) || !peer.IsValid() && !unix {
		return peer
	}
	last := peer
	for hop := 1; hop <= 64; hop++ {
		if len(members) < hop {
			return peer
		}
		addr := modelAddr(members[len(members)-hop])
		switch {
		case !addr.IsValid():
			return last
		case !trusted(addr, hop):
			return addr
		}
		last = addr
	}
	return last
}

// modelAddr reads an address, with its port if there is one.
func modelAddr(s string) netip.Addr {
	if m := bracketed.FindStringSubmatch(s); m != nil {
		s = m[1]
	}
	addr, err := netip.ParseAddr(s)
	if err != nil {
		ap, err := netip.ParseAddrPort(s)
		if err != nil {
			return netip.Addr{}
		}
		addr = ap.Addr()
	}
	if b := addr.As16(); addr.Is4In6() || nat64.Contains(addr.WithZone("")) {
		return netip.AddrFrom4([4]byte(b[12:]))
	}
	return addr.WithZone("")
}

// byPrefix and byHops are the models of the Proxies that trustedForFuzz returns.
func byPrefix(a netip.Addr, _ int) bool {
	b := a.As16()
	return a.Is4() && b[12] == 10 || a.Is6() && b[0] == 0xfd
}

func byHops(_ netip.Addr, hop int) bool { return hop < 2 }

func trustedForFuzz() (prefixes, hops ratelimit.Proxies) {
	return ratelimit.TrustedProxies("10.0.0.0/8", "fd00::/8", "unix"), ratelimit.TrustedHops(2)
}

func requireWalk(t *testing.T, by ratelimit.ClientIP, r *http.Request, want netip.Addr) {
	t.Helper()
	got, err := by.Addr(r)
	if !want.IsValid() {
		require.ErrorIs(t, err, ratelimit.ErrNoIdentity)
		return
	}
	require.NoError(t, err)
	require.Equal(t, want, got)
}

func FuzzForwardedFor(f *testing.F) {
	prefixes, hops := trustedForFuzz()
	f.Fuzz(func(t *testing.T, remote, header string) {
		if len(remote)+len(header) > maxFuzz {
			t.Skip()
		}
		lines := strings.Split(header, "\n")
		members := strings.Split(strings.Join(lines, ","), ",")
		for i, m := range members {
			members[i] = strings.Trim(m, " \t")
		}
		r := &http.Request{RemoteAddr: remote, Header: http.Header{"X-Forwarded-For": lines}}
		requireWalk(t, ratelimit.ByForwardedFor(prefixes), r, walk(remote, members, byPrefix))
		requireWalk(t, ratelimit.ByForwardedFor(hops), r, walk(remote, members, byHops))
	})
}

func FuzzForwarded(f *testing.F) {
	prefixes, hops := trustedForFuzz()
	f.Fuzz(func(t *testing.T, remote, header string) {
		if len(remote)+len(header) > maxFuzz {
			t.Skip()
		}
		lines := strings.Split(header, "\n")
		var members []string
		for _, line := range lines {
			for _, element := range splitOutsideQuotes(line, ',', fromTheRight) {
				members = append(members, modelNode(element))
			}
		}
		r := &http.Request{RemoteAddr: remote, Header: http.Header{"Forwarded": lines}}
		requireWalk(t, ratelimit.ByForwarded(prefixes), r, walk(remote, members, byPrefix))
		requireWalk(t, ratelimit.ByForwarded(hops), r, walk(remote, members, byHops))

		// Whatever a client wrote, what the proxies append to it decides.
		r.RemoteAddr = proxy
		for _, appended := range []string{"for=203.0.113.7", `for="203.0.113.7:80";host="a,b;for=6.6.6.6\"", for="[fd00::2]"`} {
			r.Header["Forwarded"] = append(lines[:len(lines)-1:len(lines)-1], lines[len(lines)-1]+", "+appended)
			requireWalk(t, ratelimit.ByForwarded(prefixes), r, netip.MustParseAddr("203.0.113.7"))
		}
	})
}

const (
	fromTheLeft = iota
	fromTheRight
)

// splitOutsideQuotes splits s at those separators that have an even number of quotes on the side
// which reading comes from. A quote after an odd number of backslashes is none.
func splitOutsideQuotes(s string, sep byte, side int) []string {
	var parts []string
	from := 0
	for i := range len(s) {
		quotes := 0
		for j := range len(s) {
			backslashes := j - len(strings.TrimRight(s[:j], `\`))
			if s[j] == '"' && backslashes%2 == 0 && (j > i) == (side == fromTheRight) {
				quotes++
			}
		}
		if s[i] == sep && quotes%2 == 0 {
			parts = append(parts, s[from:i])
			from = i + 1
		}
	}
	return append(parts, s[from:])
}

// modelNode returns the address, perhaps with a port, of the one for parameter of element.
func modelNode(element string) string {
	var nodes []string
	for _, pair := range splitOutsideQuotes(strings.Trim(element, " \t"), ';', fromTheLeft) {
		name, value, found := strings.Cut(strings.Trim(pair, " \t"), "=")
		if found && strings.EqualFold(name, "for") {
			nodes = append(nodes, value)
		}
	}
	if len(nodes) != 1 {
		return ""
	}
	quoted := quotedNode.FindStringSubmatch(nodes[0])
	switch {
	case quoted == nil && strings.ContainsAny(nodes[0], `":[]`):
		return ""
	case quoted == nil:
		return nodes[0]
	case strings.Count(quoted[1], ":") > 1 && !strings.HasPrefix(quoted[1], "["):
		return ""
	}
	return hiddenPort.ReplaceAllString(quoted[1], "$1")
}

// FuzzKeys makes many keys of four texts: those made in the same way of the same texts are equal,
// and no others are.
func FuzzKeys(f *testing.F) {
	f.Fuzz(func(t *testing.T, a, b, c, d string) {
		if len(a)+len(b)+len(c)+len(d) > 8*maxFuzz { // so that long values are hashed twice
			t.Skip()
		}
		made := map[ratelimit.Key]string{}
		keep := func(k ratelimit.Key, how string, parts ...string) ratelimit.Key {
			how += strconv.Quote(strings.Join(quoteAll(parts), ","))
			before, found := made[k]
			require.True(t, k.IsZero() || !found || before == how, "%s and %s are the same key", before, how)
			made[k] = how
			requireKey(t, k)
			return k
		}
		users := []ratelimit.Key{keep(user(a), "user", a), keep(user(b), "user", b), keep(user(c), "user", c), keep(user(d), "user", d)}
		named := []ratelimit.Key{
			keep(ratelimit.NamedKey(a, b), "named", a, b), keep(ratelimit.NamedKey(c, d), "named", c, d), keep(ratelimit.NamedKey(a, b+c), "named", a, b+c),
			keep(ratelimit.NamedKey(a+b, c), "named", a+b, c), keep(ratelimit.NamedKey("", d), "named", "", d),
		}
		keep(ratelimit.JoinKeys(users[0], users[1]), "join", "u", a, "u", b)
		keep(ratelimit.JoinKeys(users[2], users[3]), "join", "u", c, "u", d)
		keep(ratelimit.JoinKeys(users[1], users[0]), "join", "u", b, "u", a)
		keep(ratelimit.JoinKeys(users[0]), "join", "u", a)
		keep(ratelimit.JoinKeys(users[0], users[1], users[2]), "join", "u", a, "u", b, "u", c)
		keep(ratelimit.JoinKeys(named[0], users[2]), "join", "n", a, b, "u", c)
		keep(ratelimit.JoinKeys(named[2], users[3]), "join", "n", a, b+c, "u", d)
		keep(ratelimit.JoinKeys(ratelimit.JoinKeys(users[0], users[1]), users[2]), "join", "j", "u", a, "u", b, "end", "u", c)
		keep(ratelimit.JoinKeys(users[0], ratelimit.JoinKeys(users[1], users[2])), "join", "u", a, "j", "u", b, "u", c, "end")
		if addr, err := netip.ParseAddr(a); err == nil {
			keep(ratelimit.AddrKey(addr), "addr", a)
		}
	})
}

func user(id string) ratelimit.Key { return ratelimit.UserKey(id) }

func quoteAll(parts []string) []string {
	quoted := make([]string, len(parts))
	for i, p := range parts {
		quoted[i] = strconv.Quote(p)
	}
	return quoted
}

// requireKey checks what holds for every key.
func requireKey(t *testing.T, k ratelimit.Key) {
	t.Helper()
	b, err := k.AppendBinary(nil)
	require.NoError(t, err)
	require.LessOrEqual(t, len(b), 24)
	for _, c := range []byte(k.String()) {
		require.True(t, c >= ' ' && c <= '~', "%q", k)
	}
}

// FuzzDecision runs batches of ops, four bytes each, on a small store: every answer keeps its
// bounds, and a batch refused leaves all levels as they were. An odd length changes the numbers
// of the limits on the way: asking about a raised limit is then enough to be paid back faster.
func FuzzDecision(f *testing.F) {
	var limits []*ratelimit.NamedLimit
	for i, text := range []string{
		"3 per minute", "5_000_000_000 per second", "1 per year", "3 per 7 nanoseconds burst 1000", "7 per day burst 2", "1_000_000 per second burst 1_000_000_000",
	} {
		limits = append(limits, named(f, "r", i%2, text)) // three numbers for each of two limits
	}
	f.Fuzz(func(t *testing.T, script []byte) {
		if len(script) > maxFuzz {
			t.Skip()
		}
		now, numbers := time.Hour, byte(2)
		if len(script)%2 == 1 {
			numbers = 6
		}
		s := ratelimit.NewClockStore(3, func() time.Duration { return now })
		var ops []ratelimit.Op
		for ; len(script) >= 4; script = script[4:] {
			kind, who, cost, then := script[0], script[1], script[2], script[3]
			ops = append(ops, ratelimit.Op{
				Kind: ratelimit.OpKind(kind % 5), Limit: limits[who%numbers], Key: user(strconv.Itoa(int(who / 6 % 5))), Cost: int64(int8(cost)) << (kind / 5 % 32),
			})
			if then%4 != 0 && len(script) >= 8 {
				continue // the next op is in the same batch
			}
			requireBatch(t, s, ops, numbers == 2)
			ops = ops[:0]
			if step := time.Duration(1) << (then / 4 % 57); then%8 == 0 {
				now += step // at most 2 years
			} else {
				now = max(0, now-step)
			}
		}
	})
}

func requireBatch(t *testing.T, s *ratelimit.MemoryStore, ops []ratelimit.Op, exactly bool) {
	t.Helper()
	before := levels(t, s, ops)
	err := s.Apply(t.Context(), ops)
	refused := err != nil
	if err != nil {
		require.ErrorIs(t, err, ratelimit.ErrInvalidOp)
		require.Error(t, ratelimit.CheckOps(ops))
	}
	for i := range ops {
		op, res := &ops[i], &ops[i].Result
		if err == nil {
			require.True(t, res.Remaining >= 0 && res.Remaining <= op.Limit.Limit().Burst, "%+v", op)
			require.GreaterOrEqual(t, res.ResetAfter, time.Duration(0))
			require.Equal(t, !res.Allowed && !res.Never, res.RetryAfter > 0, "%+v", op)
			require.False(t, res.Allowed && res.Never, "%+v", op)
			refused = refused || op.Kind == ratelimit.OpTake && !res.Allowed
		}
	}
	if refused && exactly {
		require.Equal(t, before, levels(t, s, ops))
	}
	stats := s.Stats()
	require.True(t, stats.Keys >= 0 && stats.Keys <= stats.MaxKeys, "%+v", stats)
}

// levels peeks at the buckets of ops.
func levels(t *testing.T, s *ratelimit.MemoryStore, ops []ratelimit.Op) []ratelimit.Result {
	t.Helper()
	var all []ratelimit.Result
	for _, op := range ops {
		peek := apply(t, s, ratelimit.Op{Kind: ratelimit.OpPeek, Limit: op.Limit, Key: op.Key, Cost: 1})
		all = append(all, peek[0].Result)
	}
	return all
}
