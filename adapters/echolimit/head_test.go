package echolimit_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/labstack/echo/v5"
	"github.com/stretchr/testify/assert"

	"github.com/ratelimit-go/ratelimit/adapters/echolimit"
)

// echo answers HEAD by the handler of GET, and holds the status back until it has returned.
func TestAutoHead(t *testing.T) {
	for _, around := range []bool{true, false} {
		var reports []string
		e := echo.NewWithConfig(echo.Config{Router: echo.NewRouter(echo.RouterConfig{AutoHandleHEAD: true})})
		limit := echolimit.Handler(failures(t, "2 per minute", &reports))
		fails := func(*echo.Context) error { return echo.NewHTTPError(http.StatusConflict, "failed") }
		if around {
			e.Use(limit)
			e.GET("/x", fails)
		} else {
			e.GET("/x", fails, limit)
		}
		head := func() int {
			w := httptest.NewRecorder()
			e.ServeHTTP(w, httptest.NewRequest(http.MethodHead, "/x", nil))
			assert.Empty(t, w.Body.String())
			return w.Code
		}
		assert.Equal(t, []int{409, 409, 429}, []int{head(), head(), head()}, "around all routes: %v", around)
		assert.Empty(t, reports)
	}
}
