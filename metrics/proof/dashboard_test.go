package proof

import (
	"encoding/json"
	"net/url"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// dashboardWorks checks that each panel of the dashboard has data, and that Prometheus evaluates
// each alert rule.
func dashboardWorks(t *testing.T, p *prometheus) {
	t.Helper()
	text, err := os.ReadFile("../promlimit/grafana.json")
	require.NoError(t, err)
	var dashboard struct {
		Panels []struct {
			Title   string
			Targets []struct{ Expr string }
		}
	}
	require.NoError(t, json.Unmarshal(text, &dashboard))
	chosen := strings.NewReplacer(
		"$__rate_interval", "1m", `"$job"`, `"shop"`, `"$limiter"`, `".*"`, `"$rule"`, `".*"`)
	panels := 0
	for _, panel := range dashboard.Panels {
		for _, target := range panel.Targets {
			expr := chosen.Replace(target.Expr)
			require.NotContains(t, expr, "$", panel.Title)
			data := p.query(expr)
			if strings.Contains(expr, "memory") || strings.HasSuffix(expr, "> 0") {
				continue // a Redis that does not need memory, and a panel that hides zeros
			}
			assert.NotEmpty(t, data, "%s: %s", panel.Title, expr)
			panels++
		}
	}
	assert.Greater(t, panels, 10)

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
