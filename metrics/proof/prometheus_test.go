package proof

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// until waits for something that takes a second on a machine that is not busy.
func until(t *testing.T, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(5 * time.Minute); !done(); time.Sleep(50 * time.Millisecond) {
		require.True(t, time.Now().Before(deadline), "not within five minutes")
	}
}

// A prometheus is a real server that scrapes targets, and has loaded the alert rules.
type prometheus struct {
	t    *testing.T
	addr string
	jobs int
}

// alerts is the absolute path of the alert rules.
func alerts(t *testing.T) string {
	t.Helper()
	path, err := filepath.Abs("../promlimit/alerts.yaml")
	require.NoError(t, err)
	return path
}

// startPrometheus starts a server with a job for each target, an address and path by name.
func startPrometheus(t *testing.T, targets map[string]string) *prometheus {
	t.Helper()
	d := dir(t)
	rules, err := os.ReadFile(alerts(t))
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(d, "alerts.yaml"), rules, 0o644)) //nolint:gosec
	// A scrape may take as long as the interval.
	config := "global: {scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s}\n" +
		"rule_files: [alerts.yaml]\nscrape_configs:\n"
	for job, target := range targets {
		host, path, _ := strings.Cut(target, "/")
		config += fmt.Sprintf("  - {job_name: %s, metrics_path: /%s, static_configs: [{targets: ['%s']}]}\n",
			job, path, host)
	}
	file := filepath.Join(d, "prometheus.yml")
	require.NoError(t, os.WriteFile(file, []byte(config), 0o644)) //nolint:gosec
	promtool(t, nil, "check", "config", file)

	binary := program(t, "prometheus")
	addr, _ := start(t, func(addr string) []string {
		return []string{
			binary, "--config.file=" + file, "--storage.tsdb.path=" + filepath.Join(d, "data"),
			"--web.listen-address=" + addr, "--log.level=warn",
		}
	}, func(addr string) error {
		resp, err := http.Get("http://" + addr + "/-/ready") //nolint:noctx
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			return fmt.Errorf("not ready: %s", resp.Status)
		}
		return nil
	})
	return &prometheus{t, addr, len(targets)}
}

// get reads data from a page of the HTTP API.
func (p *prometheus) get(path string, query url.Values, data any) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.t.Context(), time.Minute)
	defer cancel()
	u := "http://" + p.addr + "/api/v1/" + path + "?" + query.Encode()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, u, nil)
	require.NoError(p.t, err)
	resp, err := http.DefaultClient.Do(r)
	require.NoError(p.t, err)
	defer resp.Body.Close()
	answer := struct {
		Status, Error string
		Data          any
	}{Data: data}
	require.NoError(p.t, json.NewDecoder(resp.Body).Decode(&answer))
	require.Equal(p.t, "success", answer.Status, "%s: %s", query, answer.Error)
}

// query returns the value of each series of an expression, by its labels without job and instance.
//
// A scrape that takes too long, as on a busy machine, marks every series of its target as gone
// until the next scrape. So query asks for an instant at which the last scrape of each job had
// succeeded, before as well as after the answer.
func (p *prometheus) query(expr string) map[string]float64 {
	p.t.Helper()
	var series map[string]float64
	until(p.t, func() bool {
		at := time.Now()
		if !p.scraped("up == 1", at) {
			return false
		}
		series = p.queryAt(expr, at)
		return p.scraped("up == 1", at)
	})
	return series
}

// scraped reports whether all jobs fulfil a condition at an instant.
func (p *prometheus) scraped(condition string, at time.Time) bool {
	p.t.Helper()
	return p.queryAt("count("+condition+")", at)["{}"] == float64(p.jobs)
}

func (p *prometheus) queryAt(expr string, at time.Time) map[string]float64 {
	p.t.Helper()
	var data struct {
		Result []struct {
			Metric map[string]string
			Value  [2]any
		}
	}
	p.get("query", url.Values{"query": {expr}, "time": {at.UTC().Format(time.RFC3339Nano)}}, &data)
	series := map[string]float64{}
	for _, r := range data.Result {
		value, err := strconv.ParseFloat(r.Value[1].(string), 64)
		require.NoError(p.t, err)
		var labels []string
		for name, text := range r.Metric {
			if !slices.Contains([]string{"job", "instance", "__name__"}, name) {
				labels = append(labels, name+"="+text)
			}
		}
		slices.Sort(labels)
		name := r.Metric["__name__"] + "{" + strings.Join(labels, ",") + "}"
		require.NotContains(p.t, series, name, expr)
		series[name] = value
	}
	return series
}

// value returns the only value of an expression, 0 if it has none.
func (p *prometheus) value(expr string, args ...any) int {
	p.t.Helper()
	series := p.query(fmt.Sprintf(expr, args...))
	require.LessOrEqual(p.t, len(series), 1, expr)
	for _, value := range series {
		return int(value)
	}
	return 0
}

// await waits until each of the jobs was scraped at a time that is not before now. The server moves
// the time that it writes down by up to 2 ms.
func (p *prometheus) await() {
	p.t.Helper()
	after := time.Now().Add(5 * time.Millisecond)
	condition := fmt.Sprintf("timestamp(up) > %f and up == 1", float64(after.UnixMicro())/1e6)
	until(p.t, func() bool { return p.scraped(condition, time.Now()) })
}

// startRedis starts a server that keeps nothing on disk, and a function that ends it.
func startRedis(t *testing.T) (addr string, stop func()) {
	t.Helper()
	binary, d := program(t, "redis-server", "valkey-server"), dir(t)
	return start(t, func(addr string) []string {
		_, port, err := net.SplitHostPort(addr)
		require.NoError(t, err)
		return []string{binary, "--bind", "127.0.0.1", "--port", port, "--dir", d, "--save", "", "--appendonly", "no"}
	}, func(addr string) error {
		c, err := net.Dial("tcp", addr) //nolint:noctx
		if err == nil {
			_ = c.Close()
		}
		return err
	})
}
