package memory

import (
	"context"
	"encoding/binary"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit/internal/key"
	"github.com/ratelimit-go/ratelimit/internal/testsize"
	"github.com/ratelimit-go/ratelimit/store"
)

// A flood asks with a new key each time, 50 times a second, for some hours. Meanwhile known
// clients, new clients and clients that return after an hour ask under "100 per minute".
type flood struct {
	name    string
	maxKeys int
	hours   int
	short   int      // seconds instead of one hour, in the smaller size
	scale   int      // a tenth of everything if it is 10: of places and of requests a second
	limits  []string // of the flood, such as "3 per day"; it asks under each in turn
	key     func(n int) store.Key
	first   bool // it begins as many hours before the first honest client comes
	// A new client asks under the limits of the flood, too, every so many seconds. That makes no
	// sense if nothing tells the keys of the flood from the keys of others.
	newcomer int
	// 20 known clients with made-up keys ask under the first limit of the flood every so many
	// seconds.
	member int
}

// inNetwork returns the n-th /64 of 2001:db8::/44, which has 2^20. Neighbors have different /48s.
func inNetwork(n int) store.Key {
	a := [16]byte{0x20, 1, 0xd, 0xb8, 0, byte(n & 15)}
	binary.BigEndian.PutUint16(a[6:], uint16(n>>4))
	return key.Addr(netip.AddrFrom16(a), 64)
}

// inIPv4 returns the n-th address of 10.1.0.0/16.
func inIPv4(n int) store.Key {
	return key.Addr(netip.AddrFrom4([4]byte{10, 1, byte(n), byte(n >> 8)}), 64)
}

// inProvider returns the n-th /64 of 2001:db8::/29, which has 8 /32s. Neighbors are in different
// ones.
func inProvider(n int) store.Key {
	a := [16]byte{0x20, 1, 0xd, 0xb8 + byte(n&7)}
	binary.BigEndian.PutUint32(a[4:], uint32(n>>3)<<16)
	return key.Addr(netip.AddrFrom16(a), 64)
}

// madeUp returns the key of the n-th value of a header field, which shows no network.
func madeUp(n int) store.Key { return key.Hashed(key.Header, "X-Api-Key", fmt.Sprint(n)) }

// honest returns the address of the n-th honest client. Each has a network of its own.
func honest(n int) store.Key {
	return key.Addr(netip.AddrFrom4([4]byte{byte(20 + n>>16), byte(n >> 8), byte(n), 1}), 64)
}

var floods = []flood{
	{
		name: "of a slow rule", maxKeys: 1_000_000, hours: 6, scale: 1,
		limits: []string{"3 per 24h"}, key: inNetwork, newcomer: 10,
	},
	{
		name: "of a slow rule, before all others", maxKeys: 1_000_000, hours: 6, scale: 10,
		limits: []string{"3 per 24h"}, key: inNetwork, newcomer: 10, first: true,
	},
	{
		name: "of a slow rule, less room", maxKeys: 100_000, hours: 6, scale: 10,
		limits: []string{"20 per 24h"}, key: inNetwork, newcomer: 10,
	},
	{
		name: "of a slow rule, little room", maxKeys: 1000, hours: 1, short: 300, scale: 1,
		limits: []string{"3 per 24h"}, key: inNetwork, newcomer: 300, first: true,
	},
	{
		name: "of a slow rule, from IPv4", maxKeys: 50_000, hours: 6, scale: 10,
		limits: []string{"3 per 24h"}, key: inIPv4, newcomer: 20,
	},
	{
		name: "of a slow rule, from one provider", maxKeys: 5000, hours: 1, short: 600, scale: 1,
		limits: []string{"3 per 24h"}, key: inProvider, newcomer: 200, first: true,
	},
	{
		name: "of a slow rule, by header", maxKeys: 100_000, hours: 6, scale: 10,
		limits: []string{"3 per 24h"}, key: madeUp,
	},
	{
		name: "of a slow rule, by header, little room", maxKeys: 1000, hours: 1, short: 600, scale: 1,
		limits: []string{"3 per 24h"}, key: madeUp, first: true,
	},
	{
		name: "of the fast rule", maxKeys: 100_000, hours: 6, scale: 10,
		limits: []string{"fast"}, key: inNetwork,
	},
	{
		name: "of the fast rule, little room", maxKeys: 1000, hours: 1, short: 300, scale: 1,
		limits: []string{"fast"}, key: inNetwork,
	},
	{
		name: "of a rule between", maxKeys: 1000, hours: 1, short: 300, scale: 1,
		limits: []string{"20 per 1h"}, key: inNetwork, newcomer: 100,
	},
	{
		name: "of a rule between, by header", maxKeys: 1000, hours: 1, short: 300, scale: 1,
		limits: []string{"20 per 1h"}, key: madeUp, member: 200,
	},
	{
		name: "of two slow rules", maxKeys: 100_000, hours: 6, scale: 10,
		limits: []string{"3 per 24h", "5 per 12h"}, key: inNetwork, newcomer: 10,
	},
	{
		name: "of two slow rules, by header", maxKeys: 100_000, hours: 6, scale: 10,
		limits: []string{"3 per 24h", "5 per 12h"}, key: madeUp, first: true,
	},
	{name: "of many rules", maxKeys: 100_000, hours: 6, scale: 10, key: inNetwork, newcomer: 10, limits: []string{
		"1 per 24h", "2 per 24h", "3 per 24h", "4 per 24h", "5 per 24h", "1 per 12h", "2 per 12h", "3 per 12h", "fast", "20 per 1h",
	}},
}

// A flood costs known clients at most 1 % of their requests and new ones at most 10 %. (It costs
// new clients of the same rule all of their requests if the keys show no network.)
//
// In the smaller size, the large floods have a 200th of everything, and the small ones last five or
// ten minutes. With less, chance would decide.
func TestFloodsCostOthersLittle(t *testing.T) {
	for _, f := range floods {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			f.run(t)
		})
	}
}

// A toll counts what became of requests.
type toll struct{ asked, denied int }

func (n *toll) share() float64 { return 100 * float64(n.denied) / float64(max(n.asked, 1)) }

type simulation struct {
	*testing.T
	s   *Store
	ops [1]store.Op

	fast   *store.Limit
	byKey  *store.Limit   // "2 per minute", by made-up keys
	limits []*store.Limit // of the flood

	flooded, known, member, fresh, keyed, back, slow toll
}

// ask takes one token and counts the answer.
func (sim *simulation) ask(n *toll, l *store.Limit, k store.Key) {
	sim.ops[0] = store.Op{Limit: l, Key: k, Cost: 1}
	if err := sim.s.Apply(context.Background(), sim.ops[:]); err != nil {
		require.NoError(sim, err)
	}
	n.asked++
	if !sim.ops[0].Result.Allowed {
		n.denied++
	}
}

func (f *flood) run(t *testing.T) {
	length, scale := f.hours*3600, f.scale
	switch {
	case f.hours == 1:
		length = testsize.Of(length, f.short)
	case f.maxKeys < 100_000:
		scale = testsize.Of(scale, 50)
	default:
		scale = testsize.Of(scale, 200)
	}
	s, now := newStore(f.maxKeys / scale)
	sim := &simulation{T: t, s: s, fast: newLimit(t, "fast", 0, 100, time.Minute, 0)}
	sim.byKey = newLimit(t, "by key", 0, 2, time.Minute, 0)
	sim.limits = f.compile(t, sim.fast)
	begin := 0
	if f.first {
		begin = -length
	}
	for second := begin; second < length; second += scale {
		*now = time.Duration(second-begin) * time.Second
		if second >= 0 {
			f.askHonestly(sim, second, scale)
		}
		for range 50 {
			sim.ask(&sim.flooded, sim.limits[sim.flooded.asked%len(sim.limits)], f.key(sim.flooded.asked))
		}
	}
	assert.LessOrEqual(t, sim.known.share(), 1.0, "percent of the requests of known clients")
	assert.LessOrEqual(t, sim.member.share(), 1.0, "percent of the requests of known clients under the flooded limit")
	assert.LessOrEqual(t, sim.fresh.share(), 10.0, "percent of the requests of new clients")
	assert.LessOrEqual(t, sim.keyed.share(), 10.0, "percent of the requests of new clients by header under another limit")
	assert.LessOrEqual(t, sim.back.share(), 10.0, "percent of the requests of clients that return")
	assert.LessOrEqual(t, sim.slow.share(), 10.0, "percent of the requests of new clients under the flooded limits")
	assert.Positive(t, sim.known.asked*sim.fresh.asked*sim.back.asked)
	requireSound(t, s)
}

// askHonestly makes the requests of honest clients in one second.
func (f *flood) askHonestly(sim *simulation, second, scale int) {
	for c := 0; c < 20 && f.member > 0 && second%f.member == 0; c++ {
		sim.ask(&sim.member, sim.limits[0], madeUp(-1-c))
	}
	for c := range 30 { // with 60 % of what they may have
		sim.ask(&sim.known, sim.fast, honest(c))
	}
	for range 2 {
		sim.ask(&sim.fresh, sim.fast, honest(100_000+second))
	}
	if c := second % 3600; c < 100 {
		sim.ask(&sim.back, sim.fast, honest(1000+c))
	}
	for range 2 {
		sim.ask(&sim.keyed, sim.byKey, madeUp(-1000-second))
	}
	if f.newcomer > 0 && second%(scale*f.newcomer) == 0 {
		sim.ask(&sim.slow, sim.limits[second/scale/f.newcomer%len(sim.limits)], honest(200_000+second))
	}
}

// compile returns the limits of the flood.
func (f *flood) compile(t *testing.T, fast *store.Limit) (limits []*store.Limit) {
	t.Helper()
	for _, text := range f.limits {
		if text == "fast" {
			limits = append(limits, fast)
			continue
		}
		var count int64
		var period string
		_, err := fmt.Sscanf(text, "%d per %s", &count, &period)
		require.NoError(t, err)
		d, err := time.ParseDuration(period)
		require.NoError(t, err)
		limits = append(limits, newLimit(t, text, 0, count, d, 0))
	}
	return limits
}
