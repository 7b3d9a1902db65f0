package proof

import (
	"encoding/json"
	"net/url"
	"os"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A grafana is the dashboard, and which of its queries have had data.
type grafana struct {
	Templating struct {
		List []struct {
			Name  string
			Query json.RawMessage
		}
	}
	Panels []struct {
		Title   string
		Targets []struct{ Expr string }
	}

	mu    sync.Mutex
	shown map[string]bool // by expression
}

func readDashboard(t *testing.T) *grafana {
	t.Helper()
	text, err := os.ReadFile("../promlimit/grafana.json")
	require.NoError(t, err)
	d := &grafana{shown: map[string]bool{}}
	require.NoError(t, json.Unmarshal(text, d))
	return d
}

// inGrafana replaces variables as Grafana does. The interval is longer than a run on a busy
// machine, because a rate of zero is no data for some panels.
var inGrafana = strings.NewReplacer(
	"$__rate_interval", "10m", `"$job"`, `"shop"`, `"$limiter"`, `".*"`, `"$rule"`, `".*"`)

// ask sends the queries of all panels to p, which fails on a mistake.
func (d *grafana) ask(t *testing.T, p *prometheus) {
	t.Helper()
	for _, panel := range d.Panels {
		for _, target := range panel.Targets {
			expr := inGrafana.Replace(target.Expr)
			require.NotContains(t, expr, "$", panel.Title)
			if len(p.query(expr)) > 0 {
				d.mu.Lock()
				d.shown[target.Expr] = true
				d.mu.Unlock()
			}
		}
	}
}

// allShown checks that each query has had data.
func (d *grafana) allShown(t *testing.T) {
	t.Helper()
	for _, panel := range d.Panels {
		for _, target := range panel.Targets {
			assert.True(t, d.shown[target.Expr], "%s had no data: %s", panel.Title, target.Expr)
		}
	}
}

var labelValues = regexp.MustCompile(`^label_values\((.+), (\w+)\)$`)

// variablesWork checks that Prometheus has values for each variable.
func (d *grafana) variablesWork(t *testing.T, p *prometheus) {
	t.Helper()
	for _, v := range d.Templating.List[1:] { // the first is the data source
		var query struct{ Query string }
		require.NoError(t, json.Unmarshal(v.Query, &query), v.Name)
		parts := labelValues.FindStringSubmatch(inGrafana.Replace(query.Query))
		require.NotNil(t, parts, "%s: %s", v.Name, query.Query)
		var values []string
		p.get("label/"+parts[2]+"/values", url.Values{"match[]": {parts[1]}}, &values)
		assert.NotEmpty(t, values, v.Name)
	}
}

// alertsWork checks that Prometheus evaluates each rule of the alerts.
func alertsWork(t *testing.T, p *prometheus) {
	t.Helper()
	var rules struct {
		Groups []struct {
			Rules []struct{ Name, Health, LastError string }
		}
	}
	p.get("rules", url.Values{}, &rules)
	require.Len(t, rules.Groups, 1)
	assert.Len(t, rules.Groups[0].Rules, 11)
	for _, r := range rules.Groups[0].Rules {
		assert.Equal(t, "ok", r.Health, "%s: %s", r.Name, r.LastError)
	}
}
