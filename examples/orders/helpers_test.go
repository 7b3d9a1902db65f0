package main

import (
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit"
)

// TestMain is the service instead, if a comparison has started this program as a child.
func TestMain(m *testing.M) {
	if os.Getenv(childEnv) != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

// protected returns the service behind its limits, on a small database.
func protected(t *testing.T) http.Handler {
	t.Helper()
	db, err := openDatabase(t.Context(), t.TempDir(), small.data)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	d, err := protect(&service{db: db, signer: newSigner()}, ratelimit.Enforce)
	require.NoError(t, err)
	return d.handler
}

// status sends a request from an address, and returns the status of the answer.
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
