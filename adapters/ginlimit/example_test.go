package ginlimit_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"

	"github.com/gin-gonic/gin"

	"github.com/ratelimit-go/ratelimit"
	"github.com/ratelimit-go/ratelimit/adapters/ginlimit"
	"github.com/ratelimit-go/ratelimit/login"
)

// A service with a limit for everything, a limit for each route, and a login.
func Example() {
	limiter, err := ratelimit.New(ratelimit.Config{
		Rules: []ratelimit.Rule{{Name: "everything", Limits: ratelimit.MustParse("100 per minute")}},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	guard, err := login.New(limiter, login.Config{
		Account:   login.FormField("email"),
		Succeeded: ratelimit.StatusIn(http.StatusOK),
		PerPair:   ratelimit.MustParse("2 per 15 minutes"),
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	byRoute := ratelimit.AllOf(ratelimit.ByClientIP(), ratelimit.ByPattern())
	each := ginlimit.Wrap(limiter.Limit("1 per minute", byRoute))

	gin.SetMode(gin.ReleaseMode)
	router := gin.New()
	router.Use(gin.Recovery(), ginlimit.Handler(limiter))
	router.GET("/items/:id", each, func(c *gin.Context) { c.String(http.StatusOK, c.Param("id")) })
	router.GET("/users/:id", each, func(c *gin.Context) { c.String(http.StatusOK, c.Param("id")) })
	router.POST("/login", ginlimit.Wrap(guard.Handler), func(c *gin.Context) {
		if c.PostForm("password") != "correct horse" {
			c.AbortWithStatusJSON(http.StatusUnauthorized, gin.H{"error": "wrong password"})
			return
		}
		c.JSON(http.StatusOK, gin.H{"welcome": c.PostForm("email")})
	})

	for _, path := range []string{"/items/1", "/items/2", "/users/1"} {
		fmt.Println(path, get(router, path).Code)
	}
	for range 3 {
		form := url.Values{"email": {"alice"}, "password": {"guess"}}.Encode()
		r := httptest.NewRequest(http.MethodPost, "/login", strings.NewReader(form))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		w := httptest.NewRecorder()
		router.ServeHTTP(w, r)
		fmt.Println("/login", w.Code)
	}
	// Output:
	// /items/1 200
	// /items/2 429
	// /users/1 200
	// /login 401
	// /login 401
	// /login 429
}
