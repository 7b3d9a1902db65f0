package promlimit

import (
	"encoding/json"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A source is how a panel, a query or a variable names its data source.
type source struct{ Type, UID string }

// chosen is the data source that a user chooses on the dashboard.
var chosen = source{"prometheus", "${datasource}"}

type target struct {
	RefID, Expr, LegendFormat string
	Datasource                source
}

type panel struct {
	ID          int
	Type, Title string
	GridPos     struct{ X, Y, W, H int }
	Datasource  *source
	Targets     []target
	Panels      []panel
}

type variable struct {
	Name, Type string
	Datasource *source
	Query      json.RawMessage
}

type grafana struct {
	UID, Title    string
	SchemaVersion int
	Templating    struct{ List []variable }
	Panels        []panel
}

// dashboard returns the dashboard as Grafana reads it: names in JSON have one spelling there.
func dashboard(t *testing.T) *grafana {
	t.Helper()
	text := read(t, "grafana.json")
	for _, name := range []string{`"schemaVersion"`, `"templating"`, `"gridPos"`, `"refId"`, `"legendFormat"`, `"uid"`} {
		require.Contains(t, text, name)
	}
	d := new(grafana)
	require.NoError(t, json.Unmarshal([]byte(text), d))
	return d
}

func TestDashboardUsesMetricsThatExist(t *testing.T) {
	known, used := gathered(t), map[string]bool{}
	for _, p := range dashboard(t).Panels {
		for _, target := range p.Targets {
			names := metric.FindAllString(target.Expr, -1)
			assert.NotEmpty(t, names, "%s: %s", p.Title, target.Expr)
			for _, name := range names {
				name = strings.TrimSuffix(name, "_bucket")
				assert.Contains(t, known, name, "%s: %s", p.Title, target.Expr)
				used[name] = true
			}
		}
	}
	assert.Equal(t, slices.Sorted(maps.Keys(known)), slices.Sorted(maps.Keys(used)), "each metric is shown")
}

// The grid of Grafana has 24 columns. Panels do not meet, and each but a row has a query.
func TestPanelsOfTheDashboard(t *testing.T) {
	d := dashboard(t)
	assert.NotEmpty(t, d.UID)
	assert.NotEmpty(t, d.Title)
	assert.GreaterOrEqual(t, d.SchemaVersion, 36, "data sources by uid")
	taken, ids, titles := map[[2]int]string{}, map[int]bool{}, map[string]bool{}
	for _, p := range d.Panels {
		assert.False(t, ids[p.ID], "%s: id %d is taken", p.Title, p.ID)
		assert.Positive(t, p.ID, p.Title)
		assert.False(t, titles[p.Title] || p.Title == "", "two panels are called %q", p.Title)
		ids[p.ID], titles[p.Title] = true, true
		g := p.GridPos
		assert.True(t, g.X >= 0 && g.Y >= 0 && g.W > 0 && g.H > 0 && g.X+g.W <= 24, "%s is at %+v", p.Title, g)
		for x := g.X; x < g.X+g.W; x++ {
			for y := g.Y; y < g.Y+g.H; y++ {
				assert.Empty(t, taken[[2]int{x, y}], "%s covers another panel", p.Title)
				taken[[2]int{x, y}] = p.Title
			}
		}
		if p.Type == "row" {
			assert.Empty(t, p.Targets, p.Title)
			assert.Empty(t, p.Panels, "%s: the panels of a row that is open stand after it", p.Title)
			continue
		}
		assert.Contains(t, []string{"stat", "timeseries", "table"}, p.Type, p.Title)
		assert.Equal(t, &chosen, p.Datasource, p.Title)
		require.NotEmpty(t, p.Targets, p.Title)
		refs := map[string]bool{}
		for _, target := range p.Targets {
			assert.False(t, refs[target.RefID] || target.RefID == "", "%s: two queries are called %q", p.Title, target.RefID)
			refs[target.RefID] = true
			assert.Equal(t, chosen, target.Datasource, p.Title)
		}
	}
}

var (
	variableUse = regexp.MustCompile(`\$\{?(\w+)\}?`)
	legendLabel = regexp.MustCompile(`\{\{(\w+)\}\}`)
	grouping    = regexp.MustCompile(`by \(([^)]*)\)`)
)

// Each variable that is used is defined before, or is Grafana's own.
func TestVariablesOfTheDashboard(t *testing.T) {
	d := dashboard(t)
	defined := map[string]bool{"__rate_interval": true}
	check := func(where, text string) {
		for _, m := range variableUse.FindAllStringSubmatch(text, -1) {
			assert.True(t, defined[m[1]], "%s: no variable %s", where, m[1])
		}
	}
	for i, v := range d.Templating.List {
		if i == 0 {
			assert.Equal(t, []string{"datasource", "datasource", `"prometheus"`}, []string{v.Name, v.Type, string(v.Query)})
		} else {
			assert.Equal(t, "query", v.Type, v.Name)
			assert.Equal(t, &chosen, v.Datasource, v.Name)
			check(v.Name, string(v.Query))
		}
		assert.False(t, defined[v.Name], v.Name)
		defined[v.Name] = true
	}
	all := ""
	for _, p := range d.Panels {
		for _, target := range p.Targets {
			check(p.Title, target.Expr)
			all += target.Expr
			groups := grouping.FindStringSubmatch(target.Expr)
			for _, m := range legendLabel.FindAllStringSubmatch(target.LegendFormat, -1) {
				require.NotNil(t, groups, p.Title)
				assert.Contains(t, strings.Split(groups[1], ", "), m[1], "%s: the query does not keep the label", p.Title)
			}
		}
	}
	for _, name := range []string{"job", "limiter", "rule"} {
		assert.Contains(t, all, `=~"$`+name+`"`, "the variable is used, and may have several values")
	}
}
