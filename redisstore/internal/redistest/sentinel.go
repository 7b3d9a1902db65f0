package redistest

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"testing"
)

// PrimaryName is the name that Sentinels have for the primary.
const PrimaryName = "limits"

// StartSentinels starts three Sentinels that watch primary. Two of them must agree. It returns
// their addresses when they know one another and the replicas.
func StartSentinels(tb testing.TB, primary *Server, replicas int) []string {
	tb.Helper()
	const n = 3
	host, port, _ := net.SplitHostPort(primary.addr)
	watch := fmt.Sprintf(`bind 127.0.0.1
sentinel monitor %[1]s %[2]s %[3]s 2
sentinel down-after-milliseconds %[1]s 500
sentinel failover-timeout %[1]s 3000
`, PrimaryName, host, port)
	var sentinels []*Server
	var addrs []string
	for range n {
		dir := tb.TempDir()
		s := start(tb, func(port string) []string {
			conf := filepath.Join(dir, "sentinel.conf")
			if err := os.WriteFile(conf, []byte(watch+"port "+port+"\ndir "+dir+"\n"), 0o600); err != nil {
				tb.Fatal(err)
			}
			return []string{conf, "--sentinel"}
		})
		sentinels, addrs = append(sentinels, s), append(addrs, s.addr)
	}
	ready := fmt.Sprintf("status=ok,address=%s,slaves=%d,sentinels=%d", primary.addr, replicas, n)
	for _, s := range sentinels {
		s.await("info", "sentinel", ready)
	}
	return addrs
}
