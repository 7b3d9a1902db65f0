package storetest

import (
	"net/netip"
	"strings"

	"github.com/ratelimit-go/ratelimit"
)

func identityCases() []testCase {
	const known = "A bucket is known by the rule and index of its limit and by its key."
	return []testCase{
		{"limits of a rule are apart", known, limitsApart},
		{"rules are apart", known, rulesApart},
		{"keys are apart", known, keysApart},
		{"equal limits and keys are one", known, equalIsOne},
		{"ops are not kept", "A Store must not keep ops, nor any part of them but values copied out of it.", opsNotKept},
	}
}

// wantApart takes a different cost by each op's bucket, all unseen, and fails unless
// each bucket is missing just that.
func (c *check) wantApart(ops []ratelimit.Op) {
	c.Helper()
	for i := range ops {
		ops[i].Cost = int64(1 + i%3)
		c.wantLevel("the first take from "+show(ops[i:i+1]), ops[i].Limit, c.one(ops[i]), ops[i].Cost)
	}
	for i, op := range ops {
		c.wantSpent("after all takes, the bucket of "+show(ops[i:i+1]), op.Limit, op.Key, op.Cost)
	}
	for i, r := range c.apply(ops...) {
		c.wantLevel("all in one batch", ops[i].Limit, r, 2*ops[i].Cost)
	}
}

func limitsApart(c *check) {
	var ops []ratelimit.Op
	for _, index := range []int{0, 1, 2, 10, 11, 100, 253} {
		ops = append(ops, take(c.named("r", index, "10 per hour"), user("a"), 0))
	}
	c.wantApart(ops)
}

// rulesApart has names that are one when they are joined with an index, a key or
// a separator without care, cut, folded or read as a pattern.
func rulesApart(c *check) {
	names := []string{
		"r", "R", "r ", " r", "r:", "r:0", "r:1", "r:0:a", "r0", "r1", "r/0", "r[0]", "r\x00", "r\x001", "{r}", "{r", "r}", "{}",
		"*", "?", "r*", "%s", "r\n", "r\r\n", "ä", "a\u0308", "\xff", "\xfe", "\ufffd", "user:a", "r:user:a", "",
		strings.Repeat("r", 200), strings.Repeat("r", 201), strings.Repeat("r", 255) + "1", strings.Repeat("r", 255) + "2",
	}
	var ops []ratelimit.Op
	for _, name := range names {
		for _, index := range []int{0, 1} {
			ops = append(ops, take(c.named(name, index, "10 per hour"), user("a"), 0))
		}
	}
	for _, id := range []string{"0:a", "1:a", "0", ":a"} {
		ops = append(ops, take(c.named("r", 0, "10 per hour"), user(id), 0))
	}
	c.wantApart(ops)
}

func keysApart(c *check) {
	long := strings.Repeat("x", 1<<20)
	ids := []string{
		"a", "A", " a", "a ", "a\x00", "\x00a", "\x00", "\x00\x00", "a\n", "a\r\n", "\r\n$1\r\na", "{a}", "{a", "a}", "{}", "}{", "{user}a",
		"*", "?", "[a]", "%", "%s", "%00", "a:b", "a:b:c", ":", "/", "\\", "'", "\"", "a' OR 1=1 --", "../a", "nil", "<nil>", "0", "00", "-1",
		"é", "e\u0301", "\xff", "\xfe", "\xc3", "\xc3\x28", "\ufffd", "\xed\xa0\x80", "\u200b", "a\u200b", "\U0001f600",
		"192.0.2.1", "::1", "2001:db8::", "1234567890123456789012", "12345678901234567890123", "12345678901234567890124",
		long, long + "x", "y" + long, long + "\x00", strings.Repeat("x", 384), strings.Repeat("x", 385),
	}
	keys := []ratelimit.Key{
		ratelimit.AddrKey(netip.MustParseAddr("192.0.2.1")), ratelimit.AddrKey(netip.MustParseAddr("2001:db8::1")),
		ratelimit.NamedKey("a", "bc"), ratelimit.NamedKey("ab", "c"), ratelimit.NamedKey("", "abc"), ratelimit.NamedKey("user", "a"),
		ratelimit.NamedKey(long, "a"), ratelimit.NamedKey(long+"a", "a"), ratelimit.NamedKey("a", long),
		ratelimit.JoinKeys(user("a"), user("b")), ratelimit.JoinKeys(user("b"), user("a")), ratelimit.JoinKeys(user("ab")),
		ratelimit.JoinKeys(user("a"), user("b"), user("c")), ratelimit.JoinKeys(ratelimit.JoinKeys(user("a"), user("b")), user("c")),
		ratelimit.JoinKeys(user(long), user("a")), ratelimit.JoinKeys(user("a"), user(long)),
	}
	for _, id := range ids {
		keys = append(keys, user(id))
	}
	var ops []ratelimit.Op
	for _, key := range keys {
		ops = append(ops, take(c.named("r", 0, "10 per hour"), key, 0))
	}
	c.wantApart(ops)
}

func equalIsOne(c *check) {
	for i, id := range []string{"a", "\x00\xff{}\n", strings.Repeat("x", 1<<20)} {
		l := c.named("r", i, "10 per hour")
		c.apply(take(l, user(id), 3))
		l = c.named(strings.Clone("r"), i, "10 per hour")
		c.wantLevel("the same limit and key made anew", l, c.one(take(l, user(strings.Clone(id)), 4)), 7)
		l = c.named("r", i, "10 per hour burst 10") // by the same numbers
		c.wantSpent("the same limit in other words", l, user(id), 7)
	}
}

// opsNotKept uses one slice again and again, as a pool of them would.
func opsNotKept(c *check) {
	l, other := c.named("r", 0, "10 per hour"), c.named("s", 0, "20 per hour")
	ops := make([]ratelimit.Op, 2)
	for i := range int64(3) {
		ops[0], ops[1] = take(l, user("a"), 2), take(l, user("b"), 1)
		c.applyThese(ops)
		ops[0], ops[1] = take(other, user("b"), 3), take(other, user("a"), 4)
		c.applyThese(ops)
		ops[0], ops[1] = ratelimit.Op{}, ratelimit.Op{}
		c.wantSpent("a bucket whose op was overwritten", l, user("a"), 2*(i+1))
		c.wantSpent("a bucket whose op was overwritten", l, user("b"), i+1)
		c.wantSpent("a bucket whose op was overwritten", other, user("a"), 4*(i+1))
		c.wantSpent("a bucket whose op was overwritten", other, user("b"), 3*(i+1))
	}
}

func (c *check) applyThese(ops []ratelimit.Op) {
	c.Helper()
	if err := c.store.Apply(c.Context(), ops); err != nil {
		c.fatalf("Apply(%s) returned the error %v", show(ops), err)
	}
}
