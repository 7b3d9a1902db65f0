package main

import (
	"net/http"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestAMinuteOfGuessing(t *testing.T) {
	for _, tt := range []struct {
		attack *attack
		wrong  int // wrong passwords that are checked
	}{
		{bruteForce, 5},
		{bruteForceMany, 5},
		{spraying, 5},
		{stuffing, 15 + 29}, // then one per 2 seconds, the first after 2 seconds
	} {
		t.Run(tt.attack.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				counts := newCounters()
				handler := counts.watch(protected(t))
				shot, err := tt.attack.arm(t.Context(), nil, addresses{1}, small)
				require.NoError(t, err)
				const attempts = 60 * 20
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
		require.Equal(t, http.StatusOK, login("127.1.0.1:1", word(wordOf(5))), "the owner, from a new address")
		for i := range 5 {
			assert.Equal(t, http.StatusUnauthorized, login(netip.AddrPortFrom(addresses{}.at(i), 1).String(), "x"))
		}
		assert.Equal(t, http.StatusTooManyRequests, login("127.64.9.9:1", "x"), "another stranger")
		assert.Equal(t, http.StatusTooManyRequests, login("127.1.0.2:1", word(wordOf(5))), "the owner, from another new address")
		assert.Equal(t, http.StatusOK, login("127.1.0.1:1", word(wordOf(5))), "the owner, from the known address")
	})
}

func TestClientThatKeepsExceedingALimitIsBlocked(t *testing.T) {
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
		assert.Equal(t, http.StatusNotFound, get("127.64.0.2:1"), "other clients are not")
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
