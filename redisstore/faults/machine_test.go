package faults

import (
	"bufio"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit/redisstore/internal/redistest"
)

// A machine tells when it was too busy for any decision by the store. It sends commands on a
// connection of its own, which no fault reaches and which the same delay holds up. The machine was
// too busy if a command took longer than its round trip by a third of what a decision has left.
type machine struct {
	mu   sync.Mutex
	late []time.Time // when such a command ended
}

// watch sends commands to a server until t ends.
func watch(t testing.TB, server *redistest.Server, trip time.Duration) *machine {
	t.Helper()
	route := redistest.NewRoute(t, server.Addr())
	route.Delay(trip / 2)
	conn, err := net.Dial("tcp", route.Addr()) //nolint:noctx
	require.NoError(t, err)
	m, in := &machine{}, bufio.NewReader(conn)
	var all sync.WaitGroup
	t.Cleanup(func() { _ = conn.Close(); all.Wait() })
	all.Go(func() {
		for {
			begin := time.Now()
			if _, err := conn.Write([]byte("PING\r\n")); err != nil {
				return
			}
			if _, err := in.ReadString('\n'); err != nil { // NOAUTH is an answer as well
				return
			}
			if time.Since(begin) > trip+(deadline-trip)/3 {
				m.mu.Lock()
				m.late = append(m.late, time.Now())
				m.mu.Unlock()
			}
		}
	})
	return m
}

// fit returns how long before an instant the machine has been fast enough, since begin at most.
func (m *machine) fit(begin, until time.Time) time.Duration {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, late := range m.late {
		if late.After(begin) && late.Before(until) {
			begin = late
		}
	}
	return until.Sub(begin)
}

// backInTime checks that the store is in use again within the time that it has for that.
func (m *machine) backInTime(t *testing.T, i *instance, what string) {
	t.Helper()
	begin := time.Now()
	took, policy := backUnderLoad(t, i)
	fit := m.fit(begin, begin.Add(took))
	t.Logf("%s: in use after %v, %v of it on a machine that is fast enough; %d decisions by the policy, reasons %v",
		what, took, fit, policy, i.failures())
	assert.LessOrEqual(t, fit, inUse, what)
}
