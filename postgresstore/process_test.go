package postgresstore_test

import (
	"bufio"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit"
	"github.com/ratelimit-go/ratelimit/internal/testsize"
	"github.com/ratelimit-go/ratelimit/postgresstore"
	"github.com/ratelimit-go/ratelimit/postgresstore/internal/pgtest"
)

// childEnv is the connection string of a process of this program that is an instance, not a test.
const childEnv = "RATELIMIT_POSTGRES_CHILD"

var hot = flag.Duration("hot", 0, "how long several processes share one key; zero means some seconds")

func TestMain(m *testing.M) {
	if url := os.Getenv(childEnv); url != "" {
		flag.Parse()
		if err := child(url); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	code := m.Run()
	pgtest.StopShared()
	os.Exit(code)
}

// An outcome is what the callers of a process saw.
type outcome struct {
	Allowed, Denied, Failed int64
	Begin, End              time.Time // of the calls
}

const hotLimit = "1000 per second burst 500"

// child is the main function of an instance. It begins when its input ends.
func child(url string) error {
	cfg, err := pgxpool.ParseConfig(url)
	if err != nil {
		return err
	}
	s, err := postgresstore.New(cfg, postgresstore.Config{})
	if err != nil {
		return err
	}
	defer s.Close()
	limiter, err := ratelimit.New(ratelimit.Config{
		Store: s, OnStoreFailure: ratelimit.FailClosed, StoreTimeout: 10 * time.Second,
		Rules: []ratelimit.Rule{{Name: "hot", Limits: ratelimit.MustParse(hotLimit), Key: ratelimit.ByClientIP()}},
	})
	if err != nil {
		return err
	}
	if err := s.Verify(context.Background()); err != nil {
		return err
	}
	fmt.Println("ready")
	_, _ = os.Stdin.Read(make([]byte, 1))
	var allowed, denied, failed atomic.Int64
	var callers sync.WaitGroup
	begin := time.Now()
	until := begin.Add(*hot)
	for range 16 {
		callers.Go(func() {
			for time.Now().Before(until) {
				d, err := limiter.Take(context.Background(), "hot", ratelimit.UserKey("all"), 1)
				switch {
				case err != nil || d.StoreErr != nil:
					failed.Add(1)
				case d.Allowed:
					allowed.Add(1)
				default:
					denied.Add(1)
					time.Sleep(time.Millisecond)
				}
			}
		})
	}
	callers.Wait()
	return json.NewEncoder(os.Stdout).Encode(outcome{allowed.Load(), denied.Load(), failed.Load(), begin, time.Now()})
}

// Four processes of 16 goroutines share one key. They get what the limit allows, and nothing more.
// A run of 30 seconds: go test -run OneKey -hot 30s -v
func TestOneKeyAcrossProcesses(t *testing.T) {
	if *hot == 0 {
		*hot = time.Duration(testsize.Of(5, 3)) * time.Second
	}
	server := pgtest.Start(t)
	newStore(t, server, postgresstore.Config{})
	type process struct {
		cmd *exec.Cmd
		out *bufio.Reader
		end func() error
	}
	var all []process
	self, err := os.Executable()
	require.NoError(t, err)
	for range 4 {
		cmd := exec.CommandContext(t.Context(), self, "-hot", hot.String())
		cmd.Env, cmd.Stderr = append(os.Environ(), childEnv+"="+server.URL()), os.Stderr
		in, err := cmd.StdinPipe()
		require.NoError(t, err)
		out, err := cmd.StdoutPipe()
		require.NoError(t, err)
		require.NoError(t, cmd.Start())
		p := process{cmd, bufio.NewReader(out), in.Close}
		_, err = p.out.ReadString('\n')
		require.NoError(t, err, "a child does not answer")
		all = append(all, p)
	}
	for _, p := range all {
		require.NoError(t, p.end())
	}
	sum := outcome{Begin: time.Now().Add(time.Hour)}
	for _, p := range all {
		var o outcome
		require.NoError(t, json.NewDecoder(p.out).Decode(&o))
		sum.Allowed, sum.Denied, sum.Failed = sum.Allowed+o.Allowed, sum.Denied+o.Denied, sum.Failed+o.Failed
		if o.Begin.Before(sum.Begin) {
			sum.Begin = o.Begin
		}
		if o.End.After(sum.End) {
			sum.End = o.End
		}
		require.NoError(t, p.cmd.Wait())
	}
	l := ratelimit.MustParse(hotLimit)[0]
	took := sum.End.Sub(sum.Begin)
	most := l.Burst + int64(took.Seconds()*float64(l.Count))
	used := 100 * float64(sum.Allowed) / (float64(l.Burst) + hot.Seconds()*float64(l.Count))
	t.Logf("%d allowed in %v, %d denied, %d failed; at most %d: %d over, %.2f %% used",
		sum.Allowed, took, sum.Denied, sum.Failed, most, sum.Allowed-most, used)
	assert.LessOrEqual(t, sum.Allowed, most, "over-admission")
	assert.Zero(t, sum.Failed)
	want := 99.0
	if *hot < 10*time.Second {
		want = 95 // one pause of a busy machine is a larger part of a short run
	}
	assert.GreaterOrEqual(t, used, want)
}
