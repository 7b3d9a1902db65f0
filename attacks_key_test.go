package ratelimit_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit"
)

// field is the value of a header field, as the name of a user or a tenant.
func field(name string) func(*http.Request) string {
	return func(r *http.Request) string { return r.Header.Get(name) }
}

// with returns a request from one address with these header fields.
func with(headers ...string) *http.Request { return request("192.0.2.1:1", headers...) }

// User "a:b" of tenant "c" has the parts of user "a" of tenant "b:c": no delimiter can be written
// into a part, so they are two clients.
func TestAttackK01DelimiterInjection(t *testing.T) {
	h := limited(t, "1 per hour", ratelimit.Combine(ratelimit.ByUser(field("User")), ratelimit.ByUser(field("Tenant"))))
	for _, sep := range []string{":", "|", "/", ",", "+", ";", " ", "\x00", "\x02\x01", "\xff"} {
		first, second := with("User", "a"+sep+"b", "Tenant", "c"), with("User", "a", "Tenant", "b"+sep+"c")
		assert.Equal(t, []int{200, 200, 429, 429}, codes(h, first, second, first, second), "%q", sep)
	}
	long := strings.Repeat("x", 30)
	first, second := with("User", long+":b", "Tenant", "c"), with("User", long, "Tenant", "b:c")
	assert.Equal(t, []int{200, 200, 429, 429}, codes(h, first, second, first, second), "hashed")
}

// A user registers as "192.0.2.1": that spends nothing of the anonymous client's there, nor of
// the tenant's or the API key's of that name.
func TestAttackK02NamespaceMix(t *testing.T) {
	h := limited(t, "1 per hour", ratelimit.FirstOf(
		ratelimit.ByUser(field("User")), ratelimit.ByNamed("tenant", field("Tenant")), ratelimit.ByNamed("user", field("Other")),
		ratelimit.ByHeader("X-Api-Key"), ratelimit.ByCookie("sid"), ratelimit.ByRemoteIP(),
	))
	const name = "192.0.2.1"
	for _, r := range []*http.Request{
		with("User", name), with("Tenant", name), with("Other", name), with("X-Api-Key", name), with("Cookie", "sid="+name), with(), with("User", "addr:"+name),
	} {
		assert.Equal(t, []int{200, 429}, codes(h, r, r), r.Header)
	}
}

// A client sends a header of a megabyte, which net/http lets through: its key is 24 bytes, and
// another megabyte is another key.
func TestAttackK03MegabyteKeys(t *testing.T) {
	store := ratelimit.NewMemoryStore(ratelimit.MemoryConfig{})
	l := newLimiter(t, ratelimit.Config{Store: store, Rules: []ratelimit.Rule{
		{Name: "header", Limits: ratelimit.MustParse("1 per hour"), Key: ratelimit.ByHeader("X-Api-Key")},
		{Name: "user", Limits: ratelimit.MustParse("1 per hour"), Key: ratelimit.ByUser(field("X-Api-Key"))},
	}})
	var keys []ratelimit.Key
	server := httptest.NewServer(l.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		d, _ := ratelimit.DecisionFrom(r.Context())
		keys = append(keys, d.Key)
	})))
	defer server.Close()
	long := strings.Repeat("k", 1_000_000)
	var got []int
	for _, value := range []string{long, long + "1", long, long + "2"} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL, nil)
		require.NoError(t, err)
		r.Header.Set("X-Api-Key", value)
		resp, err := server.Client().Do(r)
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		got = append(got, resp.StatusCode)
	}
	assert.Equal(t, []int{200, 200, 429, 200}, got)
	assert.Equal(t, 6, store.Stats().Keys)
	for _, k := range keys {
		b, err := k.AppendBinary(nil)
		require.NoError(t, err)
		assert.LessOrEqual(t, len(b), 24)
		assert.LessOrEqual(t, len(k.String()), 32)
	}
}

// A client writes its credentials in several ways that authentication takes for the same: counted
// by what authentication returned, it is one client.
func TestAttackK04AliasKeys(t *testing.T) {
	account := func(r *http.Request) string {
		scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
		if strings.EqualFold(scheme, "bearer") && strings.TrimSpace(token) == "K" {
			return "alice"
		}
		return ""
	}
	aliases := []*http.Request{with("Authorization", "Bearer K"), with("Authorization", "bearer K"), with("Authorization", "BEARER   K ")}
	assert.Equal(t, []int{200, 429, 429}, codes(limited(t, "1 per hour", ratelimit.ByUser(account)), aliases...))
	assert.Equal(t, []int{200, 200, 200}, codes(limited(t, "1 per hour", ratelimit.ByHeader("Authorization")), aliases...),
		"the raw header is not an account, as the documentation of ByHeader says")
}

// An attacker looks for a key that shares a victim's bucket: keys are kept whole, beside their
// hash, so those which share a shard or a slot share nothing else.
func TestAttackK05CollidingKeys(t *testing.T) {
	n := 100_000 // of which some have the same 32 bits of any hash
	if raceEnabled || testing.Short() {
		n = 20_000
	}
	store := ratelimit.NewMemoryStore(ratelimit.MemoryConfig{})
	l := named(t, "r", 0, "1 per hour")
	ops := []ratelimit.Op{{Limit: l, Cost: 1}}
	for i := range n {
		ops[0].Key = ratelimit.NamedKey("k", fmt.Sprint(i))
		require.NoError(t, store.Apply(context.Background(), ops))
		require.Truef(t, ops[0].Result.Allowed, "key %d has the bucket of an earlier one", i)
	}
	assert.Equal(t, ratelimit.MemoryStats{Keys: n, MaxKeys: ratelimit.DefaultMaxKeys}, store.Stats())
	seen := map[ratelimit.Key]bool{}
	for i := range n / 10 {
		k := ratelimit.UserKey(strings.Repeat("x", 30) + fmt.Sprint(i))
		require.False(t, seen[k], "hashed keys are of 176 bits")
		seen[k] = true
	}
}

// An attacker sends keys that all meet in one shard, and so at one lock: where a key goes depends
// on a seed of each store, and keys of any shape spread evenly.
func TestAttackK06ShardFlooding(t *testing.T) {
	const n = 20_000
	conf := ratelimit.MemoryConfig{MaxKeys: 63 * 1024}
	store, other := ratelimit.NewMemoryStore(conf), ratelimit.NewMemoryStore(conf)
	l := named(t, "r", 0, "1 per hour")
	var aimed []ratelimit.Key // at one shard of the other store
	for i := 0; len(aimed) < n/10 && i < 100*n; i++ {
		if k := ratelimit.NamedKey("k", fmt.Sprint(i)); ratelimit.ShardOf(other, k) == 7 {
			aimed = append(aimed, k)
		}
	}
	for i := range n {
		k := ratelimit.UserKey(fmt.Sprint(i)) // alike but for a few bytes
		if i < len(aimed) {
			k = aimed[i]
		}
		apply(t, store, ratelimit.Op{Limit: l, Key: k, Cost: 1})
	}
	shards := ratelimit.Shards(store)
	mean := float64(n) / float64(len(shards))
	for i, held := range shards {
		assert.InDelta(t, mean, held, 8*math.Sqrt(mean), "shard %d", i) // 8 standard deviations
	}
}

// A client reads from the headers how busy somebody else is, whose name it wrote into the request:
// a hidden rule limits without a word, in headers and in body.
func TestAttackK13ProbingOthers(t *testing.T) {
	account := ratelimit.Rule{Name: "account", Limits: ratelimit.MustParse("2 per hour"), Key: ratelimit.ByUser(field("Account")), Hidden: true}
	for _, form := range []ratelimit.HeaderForm{
		ratelimit.DraftHeaders, ratelimit.Draft7Headers, ratelimit.Draft6Headers, ratelimit.XHeaders, ratelimit.NoHeaders,
	} {
		h := newLimiter(t, ratelimit.Config{Headers: form, Rules: []ratelimit.Rule{account}}).Handler(ok)
		fresh, busy := with("Account", "fresh"), with("Account", "victim")
		assert.Equal(t, http.Header{}, serve(h, fresh).Header())
		assert.Equal(t, http.Header{}, serve(h, busy).Header())
		assert.Equal(t, http.Header{}, serve(h, busy).Header())
		w := serve(h, busy)
		assert.Equal(t, http.StatusTooManyRequests, w.Code)
		for _, word := range []string{"account", "victim", "user:"} {
			assert.NotContains(t, w.Body.String()+fmt.Sprint(w.Header()), word)
		}
	}
	w := serve(newLimiter(t, ratelimit.Config{Rules: []ratelimit.Rule{account, rule("own", "9 per hour")}}).Handler(ok), with("Account", "victim"))
	assert.Equal(t, http.Header{"Ratelimit-Policy": {`"own";q=9;w=3600`}, "Ratelimit": {`"own";r=8;t=3200`}}, w.Header())
}

// A client provokes errors and refusals to read addresses, keys and internals from the answers: they
// are the same for everybody, and errors go to OnError alone.
func TestAttackK14Leaks(t *testing.T) {
	const secret = "redis://:hunter2@10.1.2.3:6379"
	leaky := ratelimit.Rule{
		Name: "r", Limits: ratelimit.MustParse("1 per hour"), Key: ratelimit.ByRemoteIP(),
		Cost: func(*http.Request) int64 { panic(secret) },
		Skip: func(*http.Request) bool { panic(secret) },
	}
	broken := leaky
	broken.Name = "broken"
	broken.Key = ratelimit.KeyFunc(func(*http.Request) (ratelimit.Key, error) { return ratelimit.Key{}, errors.New(secret) })
	refusing := broken
	refusing.Unidentified = ratelimit.RefuseUnidentified
	for name, cfg := range map[string]ratelimit.Config{
		"store fails":    {Rules: []ratelimit.Rule{leaky}, Store: failingStore{errors.New(secret)}, OnStoreFailure: ratelimit.FailClosed},
		"store panics":   {Rules: []ratelimit.Rule{leaky}, Store: failingStore{}, OnStoreFailure: ratelimit.FailClosed},
		"limit":          {Rules: []ratelimit.Rule{leaky}},
		"broken key":     {Rules: []ratelimit.Rule{broken}},
		"broken, refuse": {Rules: []ratelimit.Rule{refusing}},
	} {
		reported := 0
		cfg.OnError = func(context.Context, error) { reported++ }
		h := newLimiter(t, cfg).Handler(ok)
		r := with("X-Forwarded-For", "6.6.6.6", "User-Agent", "<script>", "Accept", "text/plain, application/json")
		serve(h, r)
		w := serve(h, r)
		assert.GreaterOrEqual(t, w.Code, 400, name)
		assert.NotZero(t, reported, name)
		for _, word := range []string{secret, "hunter2", "panic", "192.0.2.1", "6.6.6.6", "addr:", "script"} {
			assert.NotContains(t, w.Body.String()+fmt.Sprint(w.Header()), word, name)
		}
	}
}

// An attacker types a victim's name until the name is locked out: with a small limit for each name
// and address together, decided in one step with a larger one for the name, the attacker's
// refusals cost the victim nothing.
func TestAttackK15TargetedLockout(t *testing.T) {
	account := ratelimit.ByUser(field("Account"))
	login := newLimiter(t, ratelimit.Config{Rules: []ratelimit.Rule{
		{Name: "account-from", Limits: ratelimit.MustParse("5 per minute"), Key: ratelimit.Combine(account, ratelimit.ByRemoteIP())},
		{Name: "address", Limits: ratelimit.MustParse("20 per minute"), Key: ratelimit.ByRemoteIP()},
		{Name: "account", Limits: ratelimit.MustParse("100 per hour"), Key: account, Hidden: true},
	}})
	h, admitted := login.Handler(ok), 0
	for range 1000 {
		if serve(h, request("6.6.6.6:1", "Account", "alice")).Code == http.StatusOK {
			admitted++
		}
	}
	assert.Equal(t, 5, admitted)
	assert.Equal(t, 200, serve(h, request("192.0.2.1:1", "Account", "alice")).Code, "alice from where she lives")
	d, err := login.Peek(t.Context(), "account", ratelimit.UserKey("alice"))
	require.NoError(t, err)
	assert.Equal(t, int64(94), d.Remaining, "100, less 5 of the attacker's and her own")
	for i := range 1000 {
		if serve(h, request("6.6.6.6:1", "Account", fmt.Sprint("user", i))).Code == http.StatusOK {
			admitted++
		}
	}
	assert.Equal(t, 20, admitted, "and one address gets no further with other names")
}
