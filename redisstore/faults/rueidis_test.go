package faults

import (
	"context"
	"crypto/tls"
	"net"
	"strconv"
	"testing"
	"time"

	"github.com/redis/rueidis"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit"
	"github.com/ratelimit-go/ratelimit/internal/testsize"
	"github.com/ratelimit-go/ratelimit/redisstore"
	"github.com/ratelimit-go/ratelimit/redisstore/internal/redistest"
	"github.com/ratelimit-go/ratelimit/redisstore/rueidisstore"
)

// onRueidis returns an instance on a client of rueidis.
func onRueidis(
	t testing.TB, addr string, newClient func(rueidis.ClientOption) (rueidis.Client, error),
	change func(*rueidis.ClientOption),
) *instance {
	t.Helper()
	opt := rueidis.ClientOption{InitAddress: []string{addr}, DisableCache: true}
	change(&opt)
	client, err := newClient(opt)
	require.NoError(t, err)
	t.Cleanup(client.Close)
	s, err := rueidisstore.New(client, redisstore.Config{})
	require.NoError(t, err)
	return newInstanceOn(t, s, "", ratelimit.Config{})
}

// TestRoundTripNearTheDeadline by rueidis, which dials in the call that needs a connection.
func TestRoundTripNearTheDeadlineByRueidis(t *testing.T) {
	noLeaks(t)
	none := func(*rueidis.ClientOption) {}
	for name, tc := range map[string]struct {
		trip    time.Duration
		change  func(*rueidis.ClientOption)
		unknown bool // the store does not know the connections of the client
	}{
		"12 ms":             {12 * time.Millisecond, none, false},
		"24 ms":             {24 * time.Millisecond, none, false},
		"24 ms, RESP 2":     {24 * time.Millisecond, func(o *rueidis.ClientOption) { o.AlwaysRESP2 = true }, false},
		"24 ms, pipelining": {24 * time.Millisecond, func(o *rueidis.ClientOption) { o.AlwaysPipelining = true }, false},
		"24 ms, eight connections": {24 * time.Millisecond, func(o *rueidis.ClientOption) {
			o.PipelineMultiplex = 3
		}, false},
		"24 ms, password": {24 * time.Millisecond, func(o *rueidis.ClientOption) {
			o.Username, o.Password, o.SelectDB, o.ClientName = "limiter", "pw", 1, "limiter"
		}, false},
		"24 ms, a client of rueidis.NewClient": {24 * time.Millisecond, none, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := redistest.Start(t)
			server.Do("acl", "setuser", "limiter", "on", ">pw", "~*", "+@all")
			route := redistest.NewRoute(t, server.Addr())
			route.Delay(tc.trip / 2)
			newClient := rueidisstore.NewClient
			if tc.unknown {
				newClient = rueidis.NewClient
			}
			i := onRueidis(t, route.Addr(), newClient, tc.change)
			others := startLoad(i, 1, "x", 5*time.Millisecond)
			m := watch(t, server, tc.trip)
			m.backInTime(t, i, "start")
			for what, hiccup := range map[string]func(){"cut": route.Cut, "forget": route.Forget} {
				if what == "forget" && tc.unknown {
					continue // its client notices after ten seconds
				}
				hiccup()
				require.Eventually(t, func() bool { return i.take("x").StoreErr != nil }, soon, time.Millisecond)
				m.backInTime(t, i, what)
			}
			i.within(t, others.stop())
		})
	}
}

// The same on a Cluster, where each server is 24 ms away. Then a server hangs. Decisions on its
// keys, which are in many groups of slots, end at their deadlines, although some of them find the
// client dialing. Decisions on other keys are the store's.
func TestClusterNearTheDeadlineByRueidis(t *testing.T) {
	noLeaks(t)
	nodes := redistest.StartCluster(t, 3)
	routes := map[string]*redistest.Route{}
	for _, n := range nodes {
		n.Do("config", "set", "cluster-require-full-coverage", "no")
		routes[n.Addr()] = redistest.NewRoute(t, n.Addr())
		routes[n.Addr()].Delay(12 * time.Millisecond)
	}
	i := onRueidis(t, nodes[0].Addr(), rueidisstore.NewClient, func(o *rueidis.ClientOption) {
		o.DialCtxFn = func(ctx context.Context, addr string, d *net.Dialer, _ *tls.Config) (net.Conn, error) {
			return d.DialContext(ctx, "tcp", routes[addr].Addr())
		}
	})
	m := watch(t, nodes[0], 24*time.Millisecond)
	users := testsize.Of(60, 24)
	on := map[int][]string{} // users by server
	for n := range users {
		user, begin := strconv.Itoa(n), time.Now()
		require.Eventually(t, func() bool { return i.take(user).StoreErr == nil }, soon, 5*time.Millisecond)
		assert.Less(t, m.fit(begin, time.Now()), inUse)
		for at := range nodes {
			if redistest.Do[int64](t, nodes[at], "dbsize") > 0 {
				on[at] = append(on[at], user)
			}
			nodes[at].Do("flushall")
		}
	}
	for _, r := range routes {
		r.Cut()
	}
	m.backInTime(t, i, "cut")

	start := func(at int) (all []*load) {
		for n, user := range on[at] { // some call for the first time when others dial already
			all = append(all, startLoad(i, 1, user, time.Duration(5+n*20)*time.Millisecond))
		}
		return all
	}
	stop := func(all []*load) (s seen) {
		for _, l := range all {
			one := l.stop()
			s.allowed, s.open, s.waits = s.allowed+one.allowed, s.open+one.open, append(s.waits, one.waits...)
		}
		return s
	}
	for _, r := range routes {
		r.Delay(0)
	}
	lost, others := start(0), start(1)
	time.Sleep(time.Second)
	nodes[0].Pause()
	t.Cleanup(nodes[0].Resume)
	routes[nodes[0].Addr()].Cut()
	time.Sleep(time.Duration(testsize.Of(3000, 1500)) * time.Millisecond)
	l, o := stop(lost), stop(others)
	t.Logf("a server hangs: of %d decisions on its keys %d by the policy, the longest %v; of %d others %d, the longest %v",
		l.total(), l.open, l.percentile(1), o.total(), o.open, o.percentile(1))
	assert.Positive(t, l.open)
	assert.Less(t, l.percentile(1), deadline+slack/2, "less than a dial may take")
	assert.Less(t, o.percentile(1), deadline+slack/2)
	assert.Less(t, float64(o.open), .1*float64(o.total()), "a busy machine loses some")
}
