package faults

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit"
	"github.com/ratelimit-go/ratelimit/redisstore"
	"github.com/ratelimit-go/ratelimit/store"
)

// childEnv is set in the processes of this program that are instances, not tests.
const childEnv = "RATELIMIT_FAULTS_CHILD"

// A job is the work of a child, which reads it from its standard input. The child begins when it
// reads another line, and ends when its input ends.
type job struct {
	Do      string // "take" or "history"
	Addr    string // of the server; empty means that the buckets are in memory
	Limits  string
	Config  jobConfig
	Callers int
	User    string
	Calls   int // per caller; 0 means without end
	Pause   time.Duration
	Log     bool // whether the server logs when it decides each call
}

type jobConfig struct {
	OnStoreFailure ratelimit.FailurePolicy
	StoreTimeout   time.Duration
	Instances      int
}

// An outcome is what a child saw.
type outcome struct {
	Allowed, Denied, Open, Closed int64
	Took                          time.Duration
	History                       []event
}

// A child is a process that is an instance.
type child struct {
	t   testing.TB
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader
}

// startChild starts a child, and returns when it waits for begin.
func startChild(t testing.TB, j job) *child {
	t.Helper()
	self, err := os.Executable()
	require.NoError(t, err)
	c := &child{t: t, cmd: exec.Command(self)}
	c.cmd.Env, c.cmd.Stderr = append(os.Environ(), childEnv+"=1"), os.Stderr
	c.in, err = c.cmd.StdinPipe()
	require.NoError(t, err)
	out, err := c.cmd.StdoutPipe()
	require.NoError(t, err)
	c.out = bufio.NewReader(out)
	require.NoError(t, c.cmd.Start())
	t.Cleanup(func() { _ = c.cmd.Process.Kill(); _ = c.cmd.Wait() })
	c.tell(j)
	_, err = c.out.ReadString('\n')
	require.NoError(t, err, "the child does not answer")
	return c
}

func (c *child) tell(what any) {
	c.t.Helper()
	require.NoError(c.t, json.NewEncoder(c.in).Encode(what))
}

// begin starts the work of the child.
func (c *child) begin() { c.tell("begin") }

// end ends the work of the child.
func (c *child) end() { require.NoError(c.t, c.in.Close()) }

// outcome waits for the end of the child, and returns what it saw.
func (c *child) outcome() (o outcome) {
	c.t.Helper()
	require.NoError(c.t, json.NewDecoder(c.out).Decode(&o))
	return o
}

// childMain is the main function of a child.
func childMain() {
	in, out := json.NewDecoder(os.Stdin), json.NewEncoder(os.Stdout)
	var j job
	if err := in.Decode(&j); err != nil {
		panic(err)
	}
	work := j.prepare()
	_ = out.Encode("ready")
	var word string
	if err := in.Decode(&word); err != nil {
		panic(err)
	}
	var over atomic.Bool
	go func() {
		_ = in.Decode(&word)
		over.Store(true)
	}()
	_ = out.Encode(work(&over))
}

func (j *job) prepare() func(over *atomic.Bool) outcome {
	if j.Do == "history" {
		return j.history()
	}
	limiter := j.limiter()
	return func(over *atomic.Bool) outcome { return j.take(limiter, over) }
}

func (j *job) limiter() *ratelimit.Limiter {
	cfg := ratelimit.Config{
		Rules: []ratelimit.Rule{{Name: "r", Limits: ratelimit.MustParse(j.Limits), Key: ratelimit.ByClientIP()}},
	}
	if j.Addr != "" {
		cfg.Store, cfg.OnStoreFailure, cfg.StoreTimeout = j.store(), j.Config.OnStoreFailure, j.Config.StoreTimeout
		cfg.Instances = j.Config.Instances
		cfg.Hooks.Error = func(context.Context, error) {}
		cfg.Hooks.StoreState = func(context.Context, store.State) {}
	}
	limiter, err := ratelimit.New(cfg)
	if err != nil {
		panic(err)
	}
	return limiter
}

func (j *job) store() store.Store {
	client := redis.NewClient(&redis.Options{Addr: j.Addr, ContextTimeoutEnabled: true, DialerRetries: 1})
	if j.Log {
		client.AddHook(new(logged))
	}
	s, err := redisstore.New(client, redisstore.Config{})
	if err != nil {
		panic(err)
	}
	return s
}

// take takes tokens, by several callers.
func (j *job) take(l *ratelimit.Limiter, over *atomic.Bool) (o outcome) {
	begin := time.Now()
	take := takeFrom(l)
	answers := make(chan ratelimit.Decision)
	for range j.Callers {
		go func() {
			for n := 0; !over.Load() && (j.Calls == 0 || n < j.Calls); n++ {
				d := take(j.User)
				answers <- d
				if !d.Allowed {
					time.Sleep(j.Pause)
				}
			}
			answers <- ratelimit.Decision{Rule: "over"}
		}()
	}
	for callers := j.Callers; callers > 0; {
		switch d := <-answers; {
		case d.Rule == "over":
			callers--
		case d.StoreErr != nil && d.Allowed:
			o.Open++
		case d.StoreErr != nil:
			o.Closed++
		case d.Allowed:
			o.Allowed++
		default:
			o.Denied++
		}
	}
	o.Took = time.Since(begin)
	return o
}
