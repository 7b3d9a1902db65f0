package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"time"
)

// child is the service in another process.
type child struct {
	url, page, counters string
	cmd                 *exec.Cmd
	stdin               io.Closer
}

// startChild starts this program again as the service.
func startChild(ctx context.Context, args ...string) (*child, error) {
	path, err := os.Executable()
	if err != nil {
		return nil, err
	}
	c := &child{cmd: exec.CommandContext(ctx, path, append([]string{"-child"}, args...)...)}
	c.cmd.Stderr = os.Stderr
	c.cmd.Env = append(os.Environ(), childEnv+"=1")
	stdin, err := c.cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	c.stdin = stdin
	stdout, err := c.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := c.cmd.Start(); err != nil {
		return nil, err
	}
	lines := bufio.NewScanner(stdout)
	for c.counters == "" && lines.Scan() {
		switch name, value, _ := strings.Cut(lines.Text(), " "); name {
		case "service":
			c.url = value
		case "page":
			c.page = value
		case "counters":
			c.counters = value
		}
	}
	if c.counters == "" {
		c.stop()
		return nil, fmt.Errorf("the service has not started: %w", lines.Err())
	}
	return c, nil
}

// childEnv is set in the environment of a child. If the program is a test, it is then the service.
const childEnv = "ORDERS_CHILD"

// stop ends the child and waits for its end.
func (c *child) stop() {
	_ = c.stdin.Close()
	_ = c.cmd.Wait()
}

// read returns the counters.
func (c *child) read(ctx context.Context) (all tallies, err error) {
	err = getJSON(ctx, c.counters, &all)
	return all, err
}

// getJSON reads what is at url into v.
func getJSON(ctx context.Context, url string, v any) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	return json.NewDecoder(resp.Body).Decode(v)
}

// settle waits until no request is in flight, and returns the counters.
func (c *child) settle(ctx context.Context) (tallies, error) {
	for range 600 {
		all, err := c.read(ctx)
		if err != nil || all.Honest.InFlight+all.Attack.InFlight == 0 {
			return all, err
		}
		select {
		case <-ctx.Done():
			return all, ctx.Err()
		case <-time.After(100 * time.Millisecond):
		}
	}
	return tallies{}, errors.New("requests are in flight a minute after the last one was sent")
}
