package scene

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"time"

	"github.com/ratelimit-go/ratelimit"
)

// Send sends a request to the service as a client with the given address, and returns the status.
func (s *Scene) Send(method, path, addr, user string, header ...string) int {
	var body string
	if method == http.MethodPost && path == "/login" {
		body = url.Values{"email": {user}, "password": {"guess"}}.Encode()
	}
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	r.RemoteAddr = addr + ":4000"
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if path != "/login" {
		r.Header.Set("User", user)
	}
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	s.Handler.ServeHTTP(w, r)
	return w.Code
}

const step = 50 * time.Millisecond

// Play sends the traffic of users until ctx ends. In the last part of the time d, attackers come,
// and stay.
func (s *Scene) Play(ctx context.Context, d time.Duration) {
	rnd := rand.New(rand.NewPCG(1, 2))
	start := time.Now()
	tick := time.NewTicker(step)
	defer tick.Stop()
	for now := start; ctx.Err() == nil; {
		s.users(rnd)
		done := float64(now.Sub(start)) / float64(d)
		if done > 0.62 {
			s.flood(rnd)
		}
		if done > 0.8 {
			s.guess(rnd)
		}
		select {
		case <-ctx.Done():
		case now = <-tick.C:
		}
	}
}

// users sends what users send in one step.
func (s *Scene) users(rnd *rand.Rand) {
	paths := []string{
		"GET /items", "GET /items", "GET /items", "GET /search", "POST /orders", "POST /uploads",
	}
	for range 1 + rnd.IntN(3) {
		n := 1 + int(rnd.ExpFloat64()*12)%60
		name := fmt.Sprintf("user-%02d", n)
		if n%9 == 0 {
			name = fmt.Sprintf("pro-%02d", n)
		}
		method, path, _ := strings.Cut(paths[rnd.IntN(len(paths))], " ")
		s.Send(method, path, Addr(n).String(), name)
	}
	if rnd.IntN(4) == 0 {
		k := "sk-" + fmt.Sprint(rnd.IntN(5))
		s.Send("POST", "/webhooks", "192.0.2.80", "", "X-API-Key", k)
		s.label("X-API-Key", k)
	}
	if rnd.IntN(60) == 0 {
		s.Send("POST", "/export", Addr(9).String(), "pro-09")
	}
	if rnd.IntN(12) == 0 { // a person who uploads a holiday
		s.Send("POST", "/uploads", Addr(14).String(), "user-14")
	}
}

// label makes the page show the name of an API key.
func (s *Scene) label(field, value string) {
	r := &http.Request{Header: http.Header{}}
	r.Header.Set(field, value)
	if k, err := ratelimit.ByHeader(field).Key(r); err == nil {
		s.Page.Label(k, "partner "+strings.TrimPrefix(value, "sk-"))
	}
}

// flood sends what a scraper sends in one step, from two addresses.
func (s *Scene) flood(rnd *rand.Rand) {
	for range 2 + rnd.IntN(2) {
		s.Send("GET", "/search", "203.0.113.66", "")
	}
	if rnd.IntN(2) == 0 {
		s.Send("GET", "/items", "203.0.113.67", "scraper")
	}
}

// guess sends what an attacker sends in one step, who guesses passwords.
func (s *Scene) guess(rnd *rand.Rand) {
	if rnd.IntN(4) == 0 {
		s.Send("POST", "/login", fmt.Sprintf("203.0.113.%d", 100+rnd.IntN(6)), "alice@example.com")
	}
}
