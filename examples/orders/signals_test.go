package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit"
)

func TestAnAttackIsSeenWithoutEnforcement(t *testing.T) {
	n, err := bruteForce.watched(t.Context(), addresses{}, small, 3*time.Second)
	require.NoError(t, err)
	assert.Positive(t, n.requests)
	assert.Equal(t, "login-pair", n.near.where)
	assert.Equal(t, "login-pair", n.counted.where)
	assert.True(t, n.alert.came())
	assert.Contains(t, n.page.where, "addr:127.64.0.1", "the address of the attacker")

	report := (&signals{size: small, notices: []*notice{n}}).markdown()
	assert.Contains(t, report, fmt.Sprintf("| brute force | %v | %v | %v |", n.near, n.counted, n.page))
}

func TestADryRunDeniesNothing(t *testing.T) {
	db, err := openDatabase(t.Context(), t.TempDir(), small.data)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	d, err := protect(&service{db: db, signer: newSigner()}, ratelimit.DryRun)
	require.NoError(t, err)
	for i := range 100 {
		assert.Equal(t, http.StatusUnauthorized, status(d.handler, "127.64.0.1:1", guess(addresses{}, 1, 1, word(i%2))))
	}
	assert.Equal(t, http.StatusUnauthorized, status(d.handler, "127.64.0.1:1", shot{method: "GET", path: "/admin/stats"}))
	denied := map[string]bool{}
	for _, rule := range d.limiter.Stats().Rules {
		denied[rule.Name] = rule.DryRun > 0
	}
	for _, rule := range []string{"client", "login-pair", "login-account", "login-address", "office"} {
		assert.True(t, denied[rule], rule)
	}
}

func TestOnlyTheAdministratorSeesThePage(t *testing.T) {
	db, err := openDatabase(t.Context(), t.TempDir(), small.data)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	d, err := protect(&service{db: db, signer: newSigner()}, ratelimit.Enforce)
	require.NoError(t, err)
	ops, stop, err := operations(newCounters(), d)
	require.NoError(t, err)
	t.Cleanup(stop)
	get := func(path, name, password string) *httptest.ResponseRecorder {
		r := httptest.NewRequest("GET", path, nil)
		r.SetBasicAuth(name, password)
		w := httptest.NewRecorder()
		ops.ServeHTTP(w, r)
		return w
	}
	assert.Equal(t, http.StatusOK, get(pagePath, adminName, adminPassword).Code)
	assert.Equal(t, http.StatusUnauthorized, get(pagePath, adminName, "").Code)
	assert.Equal(t, http.StatusUnauthorized, get(pagePath+"events", customer(1), word(wordOf(1))).Code)
	assert.Contains(t, get("/metrics", "", "").Body.String(), `ratelimit_near_limit_total{rule="login-pair"} 0`)
}

// seconds returns readings of one rule, a tenth of a second apart.
func seconds(start time.Time, counts ...count) []reading {
	var list []reading
	for i, c := range counts {
		at := start.Add(time.Duration(i) * sampleTime)
		list = append(list, reading{at, map[string]count{"r": c}})
	}
	return list
}

func TestRisingIsMoreThanInTheCalm(t *testing.T) {
	start := time.Unix(1_000_000, 0)
	list := seconds(start, count{}, count{Near: 2}, count{Near: 2}, count{Near: 2}, count{Near: 4}, count{Near: 5})
	got := rising(list, []string{"r"}, start.Add(150*time.Millisecond), count.near)
	assert.Equal(t, moment{250 * time.Millisecond, "r"}, got, "two more are as many as in the calm, and four are not")
	assert.False(t, rising(list, []string{"r"}, start.Add(time.Second), count.near).came())
	assert.False(t, rising(list, []string{"other"}, start, count.near).came())
}

func TestAlertNeedsAShareOrARate(t *testing.T) {
	start := time.Unix(1_000_000, 0)
	at := start.Add(150 * time.Millisecond)
	calm := []count{{Allowed: 10}, {Allowed: 20}}
	for name, tt := range map[string]struct {
		then count
		want bool
	}{
		"as before":            {count{Allowed: 100}, false},
		"few near":             {count{Allowed: 100, Near: 4}, false},
		"more near":            {count{Allowed: 100, Near: 5}, true},
		"few denials":          {count{Allowed: 100, DryRun: 1}, false},
		"more would be denied": {count{Allowed: 100, DryRun: 2}, true},
	} {
		list := seconds(start, append(calm, tt.then)...)
		assert.Equal(t, tt.want, alert(list, []string{"r"}, at, time.Second).came(), name)
	}
}

func TestDoubledCountsRequestsThatStillWait(t *testing.T) {
	start := time.Unix(1_000_000, 0)
	var calm, under []sample
	for i := range 100 {
		calm = append(calm, sample{due: start.Add(time.Duration(i-100) * 10 * time.Millisecond), took: 20 * time.Millisecond})
		under = append(under, sample{due: start.Add(time.Duration(i) * 10 * time.Millisecond), took: 5 * time.Second})
	}
	end := start.Add(time.Second)
	got := doubled(calm, under, start, end, time.Second)
	assert.Equal(t, 50*time.Millisecond, got.after, "two of a hundred have waited for 40 ms")
	assert.False(t, doubled(calm, calm, start, end, time.Second).came())
}

func TestFoundIsARowWithASign(t *testing.T) {
	page := map[string]string{
		"dryrun": `<tr data-key="login-pair user:a&#43;addr:127.64.0.1"><td>`,
		"rules":  `<tr data-key="calm"></tr><tr data-key="office"><span title="would be denied">(3)</span></tr>`,
	}
	assert.Equal(t, "login-pair user:a+addr:127.64.0.1", found(page, []string{"client ", "login-pair user:a+addr:127.64."}))
	assert.Equal(t, "rule office", found(page, []string{"rule office"}))
	assert.Empty(t, found(page, []string{"rule calm", "login-pair user:b"}))
}
