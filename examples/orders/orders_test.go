package main

import (
	"encoding/json"
	"encoding/xml"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestMain is also the service, when the comparison starts this program again.
func TestMain(m *testing.M) {
	if os.Getenv(childEnv) != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

func TestShortComparison(t *testing.T) {
	c, err := compare(t.Context(), t.Output(), small, 1)
	require.NoError(t, err)
	without, with := c.rounds[0].without, c.rounds[0].with

	assert.Zero(t, c.summary(with.calm()).errors)
	for i, o := range with.outcomes {
		free := without.outcomes[i]
		t.Run(o.attack.name, func(t *testing.T) {
			assert.Positive(t, o.sent)
			assert.Zero(t, c.summary(o.under).errors, "honest requests that failed, with limits")
			assert.LessOrEqual(t, o.did.wrong(), o.bound(), "passwords checked, with limits")
			assert.Less(t, o.did.Database, free.did.Database, "what reaches the database")
			assert.LessOrEqual(t, o.did.Rows, free.did.Rows)
			assert.Zero(t, o.did.Admin, "requests that reach the handler for administrators")
			if o.attack.limit != "" && o.attack.limit != perService { // of which other attacks have had a part
				assert.GreaterOrEqual(t, o.did.wrong(), o.attack.bound(0, 0), "the burst is admitted")
			}
			if o.attack.limit != "" {
				assert.Greater(t, free.did.wrong(), free.bound(), "without limits")
			}
		})
	}
	assert.Positive(t, without.outcomes[0].did.Guessed, "without limits the password is found")
	assert.Positive(t, without.outcomes[len(attacks)-1].did.Admin, "without limits the administrators' handler is reached")

	report := c.markdown("plot.svg")
	for _, a := range attacks {
		assert.Contains(t, report, "| "+a.name+" |")
		assert.Contains(t, report, a.what)
	}
	assertXML(t, c.svg())
}

func assertXML(t *testing.T, text string) {
	t.Helper()
	d := xml.NewDecoder(strings.NewReader(text))
	for {
		if _, err := d.Token(); err == io.EOF {
			return
		} else if !assert.NoError(t, err) {
			return
		}
	}
}

func TestService(t *testing.T) {
	db, err := openDatabase(t.Context(), t.TempDir(), small.data)
	require.NoError(t, err)
	defer db.Close()
	signer := newSigner()
	handler := (&service{db: db, signer: signer}).routes(func(login http.Handler) http.Handler { return login })
	token := func(name, role string) string {
		return "Bearer " + signer.sign(identity{name, role}, time.Now().Add(time.Minute))
	}
	customerToken, partnerToken := token(customer(1), roleCustomer), token(partner(1), rolePartner)
	expired := "Bearer " + signer.sign(identity{customer(1), roleCustomer}, time.Now().Add(-time.Minute))
	basic := func(name, password string) string {
		r := httptest.NewRequest("GET", "/", nil)
		r.SetBasicAuth(name, password)
		return r.Header.Get("Authorization")
	}
	tests := []struct {
		name, method, path, auth, body string
		status, rows                   int // rows -1: no list
	}{
		{"a page of items", "GET", "/api/items", "", "", 200, 20},
		{"as many items as may be asked for", "GET", "/api/items?per_page=99999", "", "", 200, small.data.items},
		{"a page beyond the end", "GET", "/api/items?page=99999", "", "", 200, 0},
		{"popular items", "GET", "/api/items?sort=popular&per_page=5", "", "", 200, 5},
		{"orders by nobody", "GET", "/api/orders", "", "", 401, -1},
		{"orders by a customer", "GET", "/api/orders?per_page=7", customerToken, "", 200, 7},
		{"an expired token", "GET", "/api/orders", expired, "", 401, -1},
		{"a forged token", "GET", "/api/orders", customerToken[:len(customerToken)-4] + "AAAA", "", 401, -1},
		{"one order", "GET", "/api/orders/3", customerToken, "", 200, 1},
		{"no order", "GET", "/api/orders/999999", customerToken, "", 404, -1},
		{"not a number", "GET", "/api/orders/x", customerToken, "", 404, -1},
		{"users", "GET", "/api/users?page=2", customerToken, "", 200, 20},
		{"a login", "POST", "/login", "", loginBody(" USER0001", word(wordOf(1))), 200, -1},
		{"a wrong password", "POST", "/login", "", loginBody(customer(1), "x"), 401, -1},
		{"an unknown name", "POST", "/login", "", loginBody("nobody", "x"), 401, -1},
		{"an empty password of an unknown name", "POST", "/login", "", loginBody("nobody", ""), 401, -1},
		{"no login", "POST", "/login", "", "x", 400, -1},
		{"a payment", "POST", "/webhooks", partnerToken, `{"reference": "R-00000001", "status": "paid"}`, 202, -1},
		{"a payment by a customer", "POST", "/webhooks", customerToken, `{}`, 403, -1},
		{"no payment", "POST", "/webhooks", partnerToken, `x`, 400, -1},
		{"too much", "POST", "/webhooks", partnerToken, strings.Repeat(" ", maxBody+1), 400, -1},
		{"statistics", "GET", "/admin/stats", basic(adminName, adminPassword), "", 200, len(cities)},
		{"statistics for a customer", "GET", "/admin/stats", basic(customer(1), word(wordOf(1))), "", 403, -1},
		{"statistics for nobody", "GET", "/admin/stats", "", "", 401, -1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := httptest.NewRequest(tt.method, tt.path, strings.NewReader(tt.body))
			r.Header.Set("Authorization", tt.auth)
			w := httptest.NewRecorder()
			handler.ServeHTTP(w, r)
			require.Equal(t, tt.status, w.Code, w.Body)
			if tt.rows >= 0 {
				var list []any
				require.NoError(t, json.Unmarshal(w.Body.Bytes(), &list))
				assert.Len(t, list, tt.rows)
			}
		})
	}
	list, err := db.order(t.Context(), 2) // of reference 1
	require.NoError(t, err)
	assert.Equal(t, "paid", list[0].Status)
}

// protected returns the service behind its limits, on a small database.
func protected(t *testing.T) http.Handler {
	db, err := openDatabase(t.Context(), t.TempDir(), small.data)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	handler, err := protect(&service{db: db, signer: newSigner()})
	require.NoError(t, err)
	return handler
}

// status returns that of the answer to a request from an address.
func status(h http.Handler, from string, s shot) int {
	r := httptest.NewRequest(s.method, s.path, strings.NewReader(s.body))
	r.RemoteAddr = from
	if s.name != "" {
		r.SetBasicAuth(s.name, s.password)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Code
}

func TestAMinuteOfGuessing(t *testing.T) {
	for _, tt := range []struct {
		attack *attack
		wrong  int // passwords that are checked
	}{
		{bruteForce, 5},
		{bruteForceMany, 5},
		{spraying, 5},
		{stuffing, 15 + 29}, // one every other second, and the first one after two
	} {
		t.Run(tt.attack.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				counts := newCounters()
				handler := counts.watch(protected(t))
				shot, err := tt.attack.arm(t.Context(), nil, addresses{1}, small)
				require.NoError(t, err)
				const attempts = 60 * 50
				for i := range attempts {
					go func() {
						time.Sleep(time.Duration(i) * time.Minute / attempts)
						s := shot(i)
						status(handler, netip.AddrPortFrom(s.from, 1).String(), s)
					}()
				}
				time.Sleep(time.Minute - time.Nanosecond)
				synctest.Wait()
				all := counts.read()
				assert.Equal(t, attempts, all.Attack.Requests)
				assert.Equal(t, tt.wrong, all.Attack.wrong())
				assert.LessOrEqual(t, tt.wrong, tt.attack.bound(time.Minute, 0))
			})
		})
	}
}

func TestOnlyTheOfficeReachesTheAdministration(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		handler := protected(t)
		admin := shot{method: "GET", path: "/admin/stats", name: adminName, password: adminPassword}
		assert.Equal(t, http.StatusOK, status(handler, "127.8.1.2:1", admin))
		assert.Equal(t, http.StatusForbidden, status(handler, "127.64.0.1:1", admin))
		assert.Equal(t, http.StatusForbidden, status(handler, "junk", admin))
		admin.path = "/admin/.env"
		assert.Equal(t, http.StatusForbidden, status(handler, "127.64.0.1:1", admin))
	})
}

func TestStrangersDoNotLockTheOwnerOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		handler := protected(t)
		login := func(from, password string) int {
			return status(handler, from, shot{method: "POST", path: "/login", body: loginBody(customer(5), password)})
		}
		require.Equal(t, http.StatusOK, login("127.1.0.1:1", word(wordOf(5))), "the owner, where nobody has been before")
		for i := range 5 {
			assert.Equal(t, http.StatusUnauthorized, login(netip.AddrPortFrom(addresses{}.at(i), 1).String(), "x"))
		}
		assert.Equal(t, http.StatusTooManyRequests, login("127.64.9.9:1", "x"), "one stranger more")
		assert.Equal(t, http.StatusTooManyRequests, login("127.1.0.2:1", word(wordOf(5))), "the owner, elsewhere")
		assert.Equal(t, http.StatusOK, login("127.1.0.1:1", word(wordOf(5))), "the owner, where the owner has been before")
	})
}

func TestWhoGoesOnAndOnIsBlocked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		handler := protected(t)
		get := func(from string) int { return status(handler, from, shot{method: "GET", path: "/"}) }
		for range 20 {
			require.Equal(t, http.StatusNotFound, get("127.64.0.1:1"))
		}
		for range 100 {
			require.Equal(t, http.StatusTooManyRequests, get("127.64.0.1:1"))
		}
		time.Sleep(59 * time.Second)
		assert.Equal(t, http.StatusTooManyRequests, get("127.64.0.1:1"), "the bucket is full again, but the client is blocked")
		assert.Equal(t, http.StatusNotFound, get("127.64.0.2:1"), "nobody else is")
		time.Sleep(2 * time.Second)
		assert.Equal(t, http.StatusNotFound, get("127.64.0.1:1"))
	})
}

func TestCostlyQueriesOfStrangersShareOneBudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		handler := protected(t)
		popular := shot{method: "GET", path: "/api/items?sort=popular&per_page=1000"}
		assert.Equal(t, http.StatusOK, status(handler, "127.64.0.1:1", popular))
		assert.Equal(t, http.StatusTooManyRequests, status(handler, "127.64.0.2:1", popular))
		assert.Equal(t, http.StatusOK, status(handler, "127.64.0.2:1", shot{method: "GET", path: "/api/items"}))
	})
}
