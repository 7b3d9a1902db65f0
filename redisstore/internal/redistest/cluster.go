package redistest

import (
	"context"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// StartCluster starts a Cluster of n primaries and returns them once all know all slots.
func StartCluster(tb testing.TB, n int) []*Server {
	tb.Helper()
	const slots = 16384
	nodes := make([]*Server, n)
	for i := range nodes {
		nodes[i] = Start(tb, "--cluster-enabled", "yes", "--cluster-node-timeout", "1000")
		nodes[i].Do("cluster", "addslotsrange", i*slots/n, (i+1)*slots/n-1)
		nodes[i].Do("cluster", "set-config-epoch", i+1)
		host, port, _ := net.SplitHostPort(nodes[0].addr)
		nodes[i].Do("cluster", "meet", host, port)
	}
	for _, s := range nodes {
		s.await("cluster", "info", "cluster_state:ok")
		s.await("cluster", "info", "cluster_known_nodes:"+strconv.Itoa(n))
	}
	return nodes
}

// StartReplica starts a replica of s, and waits until it follows.
func (s *Server) StartReplica() *Server {
	s.tb.Helper()
	host, port, _ := net.SplitHostPort(s.addr)
	r := Start(s.tb, "--replicaof", host+" "+port)
	r.await("info", "replication", "master_link_status:up")
	return r
}

// Do sends a command, which must succeed, and returns its answer if that is text.
func (s *Server) Do(args ...any) string {
	s.tb.Helper()
	c := redis.NewClient(&redis.Options{Addr: s.addr})
	defer c.Close()
	answer, err := c.Do(context.Background(), args...).Result()
	if err != nil {
		s.tb.Fatalf("redistest: %v: %v", args, err)
	}
	text, _ := answer.(string)
	return text
}

// await repeats a command until its answer contains want.
func (s *Server) await(a, b, want string) {
	s.tb.Helper()
	got := ""
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if got = s.Do(a, b); strings.Contains(got, want) {
			return
		}
	}
	s.tb.Fatalf("redistest: %s %s: no %s in\n%s", a, b, want, got)
}
