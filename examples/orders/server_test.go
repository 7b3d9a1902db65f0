package main

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// basic returns the field Authorization of HTTP Basic authentication.
func basic(name, password string) string {
	r := httptest.NewRequest("GET", "/", nil)
	r.SetBasicAuth(name, password)
	return r.Header.Get("Authorization")
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
	tests := []struct {
		name, method, path, auth, body string
		status, rows                   int // -1 rows mean that the answer is no list
	}{
		{"a page of items", "GET", "/api/items", "", "", 200, 20},
		{"the most items of a page", "GET", "/api/items?per_page=99999", "", "", 200, small.data.items},
		{"a page beyond the end", "GET", "/api/items?page=99999", "", "", 200, 0},
		{"popular items", "GET", "/api/items?sort=popular&per_page=5", "", "", 200, 5},
		{"orders without a token", "GET", "/api/orders", "", "", 401, -1},
		{"orders with a token of a customer", "GET", "/api/orders?per_page=7", customerToken, "", 200, 7},
		{"an expired token", "GET", "/api/orders", expired, "", 401, -1},
		{"a forged token", "GET", "/api/orders", customerToken[:len(customerToken)-4] + "AAAA", "", 401, -1},
		{"one order", "GET", "/api/orders/3", customerToken, "", 200, 1},
		{"an unknown order", "GET", "/api/orders/999999", customerToken, "", 404, -1},
		{"an order that is not a number", "GET", "/api/orders/x", customerToken, "", 404, -1},
		{"users", "GET", "/api/users?page=2", customerToken, "", 200, 20},
		{"a login", "POST", "/login", "", loginBody(" USER0001", word(wordOf(1))), 200, -1},
		{"a wrong password", "POST", "/login", "", loginBody(customer(1), "x"), 401, -1},
		{"an unknown name", "POST", "/login", "", loginBody("nobody", "x"), 401, -1},
		{"an empty password of an unknown name", "POST", "/login", "", loginBody("nobody", ""), 401, -1},
		{"a login that is not JSON", "POST", "/login", "", "x", 400, -1},
		{"a payment", "POST", "/webhooks", partnerToken, `{"reference": "R-00000001", "status": "paid"}`, 202, -1},
		{"a payment by a customer", "POST", "/webhooks", customerToken, `{}`, 403, -1},
		{"a payment that is not JSON", "POST", "/webhooks", partnerToken, `x`, 400, -1},
		{"a body that is too long", "POST", "/webhooks", partnerToken, strings.Repeat(" ", maxBody+1), 400, -1},
		{"statistics", "GET", "/admin/stats", basic(adminName, adminPassword), "", 200, len(cities)},
		{"statistics for a customer", "GET", "/admin/stats", basic(customer(1), word(wordOf(1))), "", 403, -1},
		{"statistics without a password", "GET", "/admin/stats", "", "", 401, -1},
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
	list, err := db.order(t.Context(), 2) // the order with reference 1
	require.NoError(t, err)
	assert.Equal(t, "paid", list[0].Status)
}
