package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
)

const (
	processes = 4
	hotRate   = 5000 // per second, and the burst
)

// outcome is the report of one of the processes.
type outcome struct {
	Allowed, Denied, Failed int64
	Start, End              time.Time // of the first decision, and of the last
}

// shareHotKey starts several processes that take from one key as fast as the limit allows.
func shareHotKey(ctx context.Context, s *server, d time.Duration) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	var all []*child
	defer func() {
		for _, c := range all {
			c.stop()
		}
	}()
	for range processes {
		c, err := startChild(ctx, self, "-join", s.addr, "-hot", d.String())
		if err != nil {
			return err
		}
		all = append(all, c)
	}
	for _, c := range all {
		if err := c.begin(); err != nil {
			return err
		}
	}
	var sum outcome
	for _, c := range all {
		var o outcome
		if err := json.NewDecoder(c.out).Decode(&o); err != nil {
			return err
		}
		sum.add(o)
	}
	took := sum.End.Sub(sum.Start)
	due := hotRate + hotRate*took.Seconds()
	share := 100 * float64(sum.Allowed) / due
	fmt.Printf("\n## One key, %d processes of %d goroutines, %d per second, for %v\n\n",
		processes, callers, hotRate, took.Round(time.Millisecond))
	fmt.Printf("%d decisions were denials, most of them without a call of the server, and %d failed.\n\n",
		sum.Denied, sum.Failed)
	goal(float64(sum.Allowed) <= due && share >= 99,
		"%d allowed; burst and rate are %.0f: %.0f over (want at most 0), %.2f %% used (want 99)",
		sum.Allowed, due, float64(sum.Allowed)-due, share)
	return nil
}

func (o *outcome) add(p outcome) {
	o.Allowed, o.Denied, o.Failed = o.Allowed+p.Allowed, o.Denied+p.Denied, o.Failed+p.Failed
	if o.Start.IsZero() || p.Start.Before(o.Start) {
		o.Start = p.Start
	}
	if p.End.After(o.End) {
		o.End = p.End
	}
}

// child is a process that waits for a line, works, and reports.
type child struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader
}

func startChild(ctx context.Context, path string, args ...string) (*child, error) {
	c := &child{cmd: exec.CommandContext(ctx, path, args...)}
	c.cmd.Stderr = os.Stderr
	var err error
	if c.in, err = c.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := c.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	c.out = bufio.NewReader(out)
	if err := c.cmd.Start(); err != nil {
		return nil, err
	}
	_, err = c.out.ReadString('\n') // the child is ready
	return c, err
}

func (c *child) begin() error {
	_, err := io.WriteString(c.in, "go\n")
	return err
}

func (c *child) stop() {
	_ = c.in.Close()
	_ = c.cmd.Process.Kill()
	_ = c.cmd.Wait()
}

// joinHot is one of the processes.
func joinHot(ctx context.Context, addr string, d time.Duration, in io.Reader, out io.Writer) error {
	client := redis.NewClient(&redis.Options{Addr: addr, ContextTimeoutEnabled: true})
	defer client.Close()
	l, err := newLimiter(newStore(client), "hot", fmt.Sprint(hotRate, " per second"))
	if err != nil {
		return err
	}
	if err := client.Ping(ctx).Err(); err != nil {
		return err
	}
	fmt.Fprintln(out, "ready")
	if _, err := bufio.NewReader(in).ReadString('\n'); err != nil {
		return err
	}
	var allowed, denied, failed atomic.Int64
	o := outcome{Start: time.Now()}
	var all sync.WaitGroup
	for range callers {
		all.Go(func() {
			for time.Since(o.Start) < d {
				decision, err := takeFrom(ctx, l, "hot", "hot", 1)
				switch {
				case err != nil:
					failed.Add(1)
				case decision.Allowed:
					allowed.Add(1)
				default:
					denied.Add(1)
					time.Sleep(decision.RetryAfter)
				}
			}
		})
	}
	all.Wait()
	o.End, o.Allowed, o.Denied, o.Failed = time.Now(), allowed.Load(), denied.Load(), failed.Load()
	return json.NewEncoder(out).Encode(o)
}
