package inflight

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// later returns a permit that Join takes.
func later(rule, name string, most int) Permit {
	p := permit(rule, name, most)
	p.Later = true
	return p
}

// Each step acquires the leases of its own permits, once. Leave releases all.
func TestLaterPermitsHaveLeasesOfTheirOwn(t *testing.T) {
	s := newServer()
	n := s.instance(t, nil)
	stay, denial := n.Enter(t.Context(), []Permit{later("total", "all", 1), permit("client", "alice", 1)})
	require.Nil(t, denial)
	for range 2 {
		require.Nil(t, stay.Lease(n.leases))
	}
	permits, _ := n.Held()
	assert.Equal(t, 1, permits)
	assert.Equal(t, map[string]int64{"client": 1}, n.ByRule())
	assert.Equal(t, 1, s.len())
	assert.Equal(t, kinds("acquire"), s.asked())

	require.Nil(t, stay.Join())
	assert.Equal(t, map[string]int64{"client": 1, "total": 1}, n.ByRule())
	assert.Equal(t, 1, s.len())
	for range 2 {
		require.Nil(t, stay.Lease(n.leases))
	}
	assert.Equal(t, 2, s.len())
	assert.Equal(t, kinds("acquire"), s.asked())

	stay.Leave()
	assert.Zero(t, s.len())
	assert.Equal(t, kinds("release release"), s.asked())
	requireNoneHeld(t, n.Counter)
}

// A request that has only later permits calls no store before Join.
func TestOnlyLaterPermits(t *testing.T) {
	s := newServer()
	n := s.instance(t, nil)
	stay, denial := n.Enter(t.Context(), []Permit{later("total", "all", 1)})
	require.Nil(t, denial)
	require.NotNil(t, stay)
	require.Nil(t, stay.Lease(n.leases))
	assert.Empty(t, s.asked())
	requireNoneHeld(t, n.Counter)
	stay.Leave()
	assert.Empty(t, s.asked())
}

// A later permit that is not free denies a request when it comes, and when it joins.
func TestLaterPermitsThatAreNotFree(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, want := local(), later("total", "all", 1)
		stay, denial := n.Enter(t.Context(), []Permit{permit("client", "alice", 1), want})
		require.Nil(t, denial)
		other, _ := n.Enter(t.Context(), []Permit{permit("total", "all", 1)})
		pass(3 * time.Second)

		assert.Equal(t, &Denial{Permit: &want, Wait: time.Second}, stay.Join())
		assert.Equal(t, map[string]int64{"client": 1, "total": 1}, n.ByRule())
		_, denial = n.Enter(t.Context(), []Permit{permit("client", "bob", 1), want})
		assert.Equal(t, &Denial{Permit: &want, Wait: time.Second}, denial)
		assert.Equal(t, map[string]int64{"client": 1, "total": 1}, n.ByRule())

		stay.Leave()
		assert.Equal(t, map[string]int64{"total": 1}, n.ByRule())
		other.Leave()
		requireNoneHeld(t, n.Counter)
	})
}

// An inner decorator leaves out what its outer one has taken by Join.
func TestJoinedPermitsAreLeftOutInside(t *testing.T) {
	n, want := local(), later("total", "all", 1)
	stay, _ := n.Enter(t.Context(), []Permit{want})
	require.Nil(t, stay.Join())
	inner, denial := n.Enter(stay, []Permit{want})
	assert.Nil(t, inner)
	assert.Nil(t, denial)
	stay.Leave()
	requireNoneHeld(t, n.Counter)
}

func TestJoinWithoutLaterPermits(t *testing.T) {
	n := local()
	assert.Nil(t, (*Stay)(nil).Join())
	stay, _ := n.Enter(t.Context(), []Permit{permit("client", "alice", 1)})
	assert.Nil(t, stay.Join())
	stay.Leave()
	requireNoneHeld(t, n.Counter)
}

// A lease that ends before its first renewal is reported too.
func TestLeaseThatIsLostBeforeItsFirstRenewal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer()
		var reported []string
		n := s.instance(t, func(err error) { reported = append(reported, err.Error()) })
		n.background(t, 15*time.Second, permit("r", "alice", 1))
		s.mu.Lock()
		clear(s.ends)
		s.mu.Unlock()
		pass(15 * time.Second)
		assert.Equal(t, []string{`ratelimit: rule "r": ` + errLeaseLost.Error()}, reported)
	})
}

// The requests that have a lease count too, when the store fails, and its answer allowed more.
func TestLeasedRequestsCountWhileTheStoreFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer()
		n := s.instance(t, func(error) {})
		p := permit("r", "alice", 4)
		p.Alone = 2
		for _, seconds := range []time.Duration{1, 2, 5} {
			n.background(t, seconds*time.Second, p)
		}
		pass(3 * time.Second)
		s.fails(away)
		n.background(t, time.Second, p)
		permits, _ := n.Held()
		assert.Equal(t, 2, permits)
		assert.False(t, n.allows(t, p))
		pass(3 * time.Second)
		requireNoneHeld(t, n.Counter)
	})
}

// All 16 bytes of an ID are random, so that no two requests of a fleet share one.
func TestLeaseIDs(t *testing.T) {
	begins, ends := map[[8]byte]bool{}, map[[8]byte]bool{}
	for range 100 {
		id := newTenure(t.Context(), new(Leases), []Permit{permit("r", "alice", 1)}).leases[0].ID
		begins[[8]byte(id[:8])], ends[[8]byte(id[8:])] = true, true
	}
	assert.Len(t, begins, 100)
	assert.Len(t, ends, 100)
}

func TestCheckTTL(t *testing.T) {
	for _, ttl := range []time.Duration{0, time.Second, time.Minute, time.Hour} {
		assert.NoError(t, CheckTTL(ttl))
	}
	for _, ttl := range []time.Duration{-1, 1, time.Second - 1, time.Hour + 1} {
		assert.EqualError(t, CheckTTL(ttl), ttl.String()+": want 1s to 1h0m0s, or 0 for 30s")
	}
}
