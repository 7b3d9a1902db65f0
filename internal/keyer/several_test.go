package keyer_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit/internal/key"
	"github.com/ratelimit-go/ratelimit/internal/keyer"
)

// Constructors of several Keyers, with a shorter name.
func firstOf(parts ...keyer.Keyer) keyer.Keyer { return keyer.FirstOf(parts) }
func allOf(parts ...keyer.Keyer) keyer.Keyer   { return keyer.AllOf(parts) }

func TestFirstOf(t *testing.T) {
	alice := request("", "User", "alice")
	for _, tc := range []row{
		{"the first", firstOf(byUser(), tenant), alice, user("alice")},
		{"the second", firstOf(byUser(), tenant), request(""), key.Pair("tenant", "acme")},
		{"after the zero Key", firstOf(zero, tenant), request(""), key.Pair("tenant", "acme")},
		{"before an error", firstOf(tenant, broken), request(""), key.Pair("tenant", "acme")},
		{"none", firstOf(byUser(), zero), request(""), key.Key{}},
		{"no Keyer", firstOf(), request(""), key.Key{}},
		{"deep", firstOf(firstOf(byUser()), allOf(byUser()), tenant), request(""), key.Pair("tenant", "acme")},
	} {
		tc.run(t)
	}
}

func TestAllOf(t *testing.T) {
	alice := request("", "User", "alice")
	ten := make([]keyer.Keyer, 10) // more than there is room for without allocating
	tenKeys := make([]key.Key, 10)
	for i := range ten {
		tenKeys[i] = key.Pair("part", string(rune('a'+i)))
		ten[i] = keyer.Global(tenKeys[i])
	}
	for _, tc := range []row{
		{"both", allOf(byUser(), peer), alice, key.Join(user("alice"), addr("192.0.2.1", 32))},
		{"in another order", allOf(peer, byUser()), alice, key.Join(addr("192.0.2.1", 32), user("alice"))},
		{"one", allOf(byUser()), alice, key.Join(user("alice"))},
		{"ten", allOf(ten...), request(""), key.Join(tenKeys...)},
		{"the first is missing", allOf(byUser(), peer), request(""), key.Key{}},
		{"the last is missing", allOf(peer, byUser()), request(""), key.Key{}},
		{"the zero Key", allOf(peer, zero), request(""), key.Key{}},
		{"no Keyer", allOf(), request(""), key.Key{}},
		{
			"deep", allOf(allOf(tenant), firstOf(byUser(), peer)), request(""),
			key.Join(key.Join(key.Pair("tenant", "acme")), addr("192.0.2.1", 32)),
		},
	} {
		tc.run(t)
	}
}

// An error other than ErrNoKey is reported, even if another Keyer could find a key.
func TestSeveralStopAtAnError(t *testing.T) {
	for _, by := range []keyer.Keyer{
		firstOf(broken, tenant), firstOf(byUser(), broken, tenant), allOf(tenant, broken), allOf(broken, tenant), allOf(broken, byUser()),
	} {
		got, err := by.Key(request(""))
		require.ErrorIs(t, err, errBroken)
		assert.Zero(t, got)
	}
}

func TestCheckOfSeveral(t *testing.T) {
	const (
		nilKeyer = "a nil Keyer: want for example ByClientIP()"
		nilFunc  = "a nil KeyFunc: want a function"
	)
	for _, tc := range []struct {
		name string
		by   keyer.Keyer
		want []string
	}{
		{"no Keyer in FirstOf", firstOf(), []string{"FirstOf(): want at least one Keyer"}},
		{"no Keyer in AllOf", allOf(), []string{"AllOf(): want at least one Keyer"}},
		{"right", firstOf(allOf(tenant, broken), keyer.ClientIP{}), nil},
		{"nil", firstOf(tenant, nil), []string{"FirstOf, argument 2: " + nilKeyer}},
		{"two mistakes", allOf(nil, tenant, keyFunc(nil)), []string{
			"AllOf, argument 1: " + nilKeyer, "AllOf, argument 3: " + nilFunc,
		}},
		{"deep", firstOf(tenant, allOf(keyFunc(nil), firstOf())), []string{
			"FirstOf, argument 2: AllOf, argument 1: " + nilFunc,
			"FirstOf, argument 2: AllOf, argument 2: FirstOf(): want at least one Keyer",
		}},
	} {
		t.Run(tc.name, func(t *testing.T) { assert.Equal(t, tc.want, texts(keyer.Check(tc.by))) })
	}
}
