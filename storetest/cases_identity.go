package storetest

import (
	"net/netip"
	"strings"
	"time"

	"github.com/ratelimit-go/ratelimit/internal/key"
	"github.com/ratelimit-go/ratelimit/store"
)

func identityCases() []testCase {
	const (
		known = "A bucket is known by the rule and index of its limit and by its key."
		keep  = "A Store must not keep any part of ops after it returns, except values that it copied."
	)
	return []testCase{
		{"limits of a rule have separate buckets", known, limitsApart},
		{"rules have separate buckets", known, rulesApart},
		{"keys have separate buckets", known, keysApart},
		{"equal limits and keys share a bucket", known, equalIsOne},
		{"ops are not kept", keep, opsNotKept},
	}
}

// wantApart takes 1, 2 or 3 tokens by each op, from buckets never seen. It fails unless each bucket
// then lacks just that many.
func (c *check) wantApart(ops []store.Op) {
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
	var ops []store.Op
	for _, index := range []int{0, 1, 2, 10, 11, 100, 253} {
		ops = append(ops, take(c.limit("r", index, per(10, time.Hour)), user("a"), 0))
	}
	c.wantApart(ops)
}

// rulesApart has names that become equal if a store cuts them, folds their case, reads them as a
// pattern, or joins them with an index or a key without care.
func rulesApart(c *check) {
	names := []string{
		"r", "R", "r ", " r", "r:", "r:0", "r:1", "r:0:a", "r0", "r1", "r/0", "r[0]", "r\x00", "r\x001",
		"{r}", "{r", "r}", "{}", "*", "?", "r*", "%s", "r\n", "r\r\n", "ä", "a\u0308",
		"\xff", "\xfe", "\ufffd", "user:a", "r:user:a", "",
		strings.Repeat("r", 200), strings.Repeat("r", 201),
		strings.Repeat("r", 255) + "1", strings.Repeat("r", 255) + "2",
	}
	var ops []store.Op
	for _, name := range names {
		for _, index := range []int{0, 1} {
			ops = append(ops, take(c.limit(name, index, per(10, time.Hour)), user("a"), 0))
		}
	}
	for _, id := range []string{"0:a", "1:a", "0", ":a"} {
		ops = append(ops, take(c.limit("r", 0, per(10, time.Hour)), user(id), 0))
	}
	c.wantApart(ops)
}

func keysApart(c *check) {
	long := strings.Repeat("x", 1<<20)
	ids := []string{
		"a", "A", " a", "a ", "a\x00", "\x00a", "\x00", "\x00\x00", "a\n", "a\r\n", "\r\n$1\r\na",
		"{a}", "{a", "a}", "{}", "}{", "{user}a", "*", "?", "[a]", "%", "%s", "%00", "a:b", "a:b:c",
		":", "/", "\\", "'", "\"", "a' OR 1=1 --", "../a", "nil", "<nil>", "0", "00", "-1",
		"é", "e\u0301", "\xff", "\xfe", "\xc3", "\xc3\x28", "\ufffd", "\xed\xa0\x80",
		"\u200b", "a\u200b", "\U0001f600", "192.0.2.1", "::1", "2001:db8::",
		"1234567890123456789012", "12345678901234567890123", "12345678901234567890124",
		long, long + "x", "y" + long, long + "\x00", strings.Repeat("x", 384), strings.Repeat("x", 385),
	}
	keys := []store.Key{
		key.Addr(netip.MustParseAddr("192.0.2.1"), 64), key.Addr(netip.MustParseAddr("2001:db8::1"), 64),
		key.Pair("a", "bc"), key.Pair("ab", "c"), key.Pair("", "abc"), key.Pair("user", "a"),
		key.Pair(long, "a"), key.Pair(long+"a", "a"), key.Pair("a", long),
		key.Join(user("a"), user("b")), key.Join(user("b"), user("a")), key.Join(user("ab")),
		key.Join(user("a"), user("b"), user("c")), key.Join(key.Join(user("a"), user("b")), user("c")),
		key.Join(user(long), user("a")), key.Join(user("a"), user(long)),
	}
	for _, id := range ids {
		keys = append(keys, user(id))
	}
	var ops []store.Op
	for _, k := range keys {
		ops = append(ops, take(c.limit("r", 0, per(10, time.Hour)), k, 0))
	}
	c.wantApart(ops)
}

func equalIsOne(c *check) {
	for i, id := range []string{"a", "\x00\xff{}\n", strings.Repeat("x", 1<<20)} {
		l := c.limit("r", i, per(10, time.Hour))
		c.apply(take(l, user(id), 3))
		l = c.limit(strings.Clone("r"), i, per(10, time.Hour))
		c.wantLevel("the same limit and key, made again", l, c.one(take(l, user(strings.Clone(id)), 4)), 7)
		l = c.limit("r", i, per(10, time.Hour).holding(10)) // by the same numbers
		c.wantSpent("the same limit with its burst written out", l, user(id), 7)
	}
}

// opsNotKept uses one slice again and again, as a pool of slices would.
func opsNotKept(c *check) {
	l, other := c.limit("r", 0, per(10, time.Hour)), c.limit("s", 0, per(20, time.Hour))
	ops := make([]store.Op, 2)
	for i := range int64(3) {
		ops[0], ops[1] = take(l, user("a"), 2), take(l, user("b"), 1)
		c.applyThese(ops)
		ops[0], ops[1] = take(other, user("b"), 3), take(other, user("a"), 4)
		c.applyThese(ops)
		ops[0], ops[1] = store.Op{}, store.Op{}
		c.wantSpent("a bucket whose op was overwritten", l, user("a"), 2*(i+1))
		c.wantSpent("a bucket whose op was overwritten", l, user("b"), i+1)
		c.wantSpent("a bucket whose op was overwritten", other, user("a"), 4*(i+1))
		c.wantSpent("a bucket whose op was overwritten", other, user("b"), 3*(i+1))
	}
}

func (c *check) applyThese(ops []store.Op) {
	c.Helper()
	if err := c.store.Apply(c.Context(), ops); err != nil {
		c.fatalf("Apply(%s) returned the error %v", show(ops), err)
	}
}
