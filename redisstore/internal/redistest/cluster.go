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

// StartCluster starts a Cluster of n primaries. It returns when all of them know the owners of all
// slots.
func StartCluster(tb testing.TB, n int) []*Server {
	tb.Helper()
	const slots = 16384
	nodes := make([]*Server, n)
	for i := range nodes {
		nodes[i] = startNode(tb)
		nodes[i].Do("cluster", "addslotsrange", i*slots/n, (i+1)*slots/n-1)
		nodes[i].Do("cluster", "set-config-epoch", i+1)
		host, port, _ := net.SplitHostPort(nodes[0].addr)
		nodes[i].Do("cluster", "meet", host, port)
	}
	awaitCluster(nodes)
	return nodes
}

func startNode(tb testing.TB) *Server {
	tb.Helper()
	return Start(tb,
		"--cluster-enabled", "yes", "--cluster-node-timeout", "1000", "--repl-diskless-sync-delay", "0")
}

// awaitCluster waits until all nodes know one another and the owners of all slots.
func awaitCluster(nodes []*Server) {
	for _, s := range nodes {
		s.await("cluster", "info", "cluster_state:ok")
		s.await("cluster", "info", "cluster_known_nodes:"+strconv.Itoa(len(nodes)))
	}
}

// AddReplicas gives each primary of a Cluster a replica. It returns the replicas, in the same
// order, when they follow.
func AddReplicas(tb testing.TB, primaries []*Server) []*Server {
	tb.Helper()
	replicas := make([]*Server, len(primaries))
	host, port, _ := net.SplitHostPort(primaries[0].addr)
	for i := range replicas {
		replicas[i] = startNode(tb)
		replicas[i].Do("cluster", "meet", host, port)
	}
	awaitCluster(append(primaries[:len(primaries):len(primaries)], replicas...))
	for i, r := range replicas {
		r.Do("cluster", "replicate", primaries[i].Do("cluster", "myid"))
		r.await("info", "replication", "master_link_status:up")
	}
	return replicas
}

// StartReplica starts a replica of s, and waits until it follows.
func (s *Server) StartReplica() *Server {
	s.tb.Helper()
	return s.StartReplicaVia(s.addr)
}

// StartReplicaVia starts a replica that reaches s through a proxy at addr.
func (s *Server) StartReplicaVia(addr string) *Server {
	s.tb.Helper()
	s.Do("config", "set", "repl-diskless-sync-delay", 0)
	host, port, _ := net.SplitHostPort(addr)
	r := Start(s.tb, "--replicaof", host+" "+port)
	r.await("info", "replication", "master_link_status:up")
	return r
}

// Do sends a command, which must succeed. It returns the answer if that is text.
func (s *Server) Do(args ...any) string {
	s.tb.Helper()
	text, _ := s.do(args).(string)
	return text
}

// Do sends s a command, which must succeed. The answer must have the type T.
func Do[T any](tb testing.TB, s *Server, args ...any) T {
	tb.Helper()
	answer := s.do(args)
	t, ok := answer.(T)
	if !ok {
		tb.Fatalf("redistest: %v: %v (%[2]T)", args, answer)
	}
	return t
}

func (s *Server) do(args []any) any {
	s.tb.Helper()
	c := redis.NewClient(&redis.Options{Addr: s.addr})
	defer c.Close()
	answer, err := c.Do(context.Background(), args...).Result()
	if err != nil {
		s.tb.Fatalf("redistest: %v: %v", args, err)
	}
	return answer
}

// await repeats a command until its answer contains want.
func (s *Server) await(a, b, want string) {
	s.tb.Helper()
	got := ""
	begin := time.Now()
	for ; time.Since(begin) < 20*time.Second; time.Sleep(20 * time.Millisecond) {
		if got = s.Do(a, b); strings.Contains(got, want) {
			return
		}
	}
	s.tb.Fatalf("redistest: %s %s: no %s in\n%s", a, b, want, got)
}
