// Command example is a service on gin with a limit for everything, a limit for each route, and a
// login.
//
//	curl -i localhost:8080/items/1
//	curl -i -d 'email=alice&password=guess' localhost:8080/login
package main

import (
	"flag"
	"fmt"
	"log"
	"net/http"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/ratelimit-go/ratelimit"
	"github.com/ratelimit-go/ratelimit/adapters/ginlimit"
	"github.com/ratelimit-go/ratelimit/login"
)

func newRouter() (*gin.Engine, error) {
	limiter, err := ratelimit.New(ratelimit.Config{Rules: []ratelimit.Rule{{
		Name: "everything", Limits: ratelimit.MustParse("100 per minute"),
	}}})
	if err != nil {
		return nil, err
	}
	guard, err := login.New(limiter, login.Config{
		Account:   login.FormField("email"),
		Succeeded: ratelimit.StatusIn(http.StatusOK),
	})
	if err != nil {
		return nil, err
	}
	byRoute := ratelimit.AllOf(ratelimit.ByClientIP(), ratelimit.ByPattern())
	each := ginlimit.Wrap(limiter.Limit("10 per minute", byRoute))

	router := gin.Default()
	router.Use(ginlimit.Handler(limiter))
	item := func(c *gin.Context) { c.String(http.StatusOK, "%s", c.Param("id")) }
	router.GET("/items/:id", each, item)
	router.GET("/users/:id", each, item)
	router.POST("/login", ginlimit.Wrap(guard.Handler), func(c *gin.Context) {
		if c.PostForm("password") != "correct horse" {
			c.AbortWithStatus(http.StatusUnauthorized)
			return
		}
		c.String(http.StatusOK, "welcome")
	})
	return router, nil
}

const usage = `Try this, and see 401 five times and then 429:
  for i in $(seq 6); do curl -si -d 'email=alice&password=guess' http://%s/login | head -1; done
`

func main() {
	addr := flag.String("addr", "127.0.0.1:8080", "address to listen on")
	flag.Parse()
	router, err := newRouter()
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf(usage, *addr)
	server := &http.Server{Addr: *addr, Handler: router, ReadHeaderTimeout: 5 * time.Second}
	log.Fatal(server.ListenAndServe())
}
