package login_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"time"

	"github.com/ratelimit-go/ratelimit"
	"github.com/ratelimit-go/ratelimit/login"
)

// checkPassword is a handler that signs users in. It answers with a redirect and a cookie if the
// password is right, and with status 401 if it is wrong.
var checkPassword = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
	if r.PostFormValue("password") != "correct horse" {
		http.Error(w, "wrong password", http.StatusUnauthorized)
		return
	}
	http.SetCookie(w, &http.Cookie{Name: "session", Value: "1"})
	http.Redirect(w, r, "/", http.StatusSeeOther)
})

// signedIn reports what only a right password gets: a redirect with the cookie of a new session.
func signedIn(res ratelimit.Response) bool {
	return res.Status == http.StatusSeeOther && res.Header.Get("Set-Cookie") != ""
}

// post sends a login form to h and prints the status.
func post(h http.Handler, email, password, from string) {
	form := "email=" + email + "&password=" + password
	r := httptest.NewRequest(http.MethodPost, "/login", strings.NewReader(form))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.RemoteAddr = from + ":1234"
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	fmt.Println(from, w.Code)
}

// A login route. An attacker guesses passwords, and the owner still logs in.
func Example() {
	limiter, err := ratelimit.New(ratelimit.Config{})
	if err != nil {
		fmt.Println(err)
		return
	}
	guard, err := login.New(limiter, login.Config{
		Account:   login.FormField("email"),
		Succeeded: signedIn,
		PerPair:   ratelimit.MustParse("2 per 15 minutes"),
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	mux := http.NewServeMux()
	mux.Handle("POST /login", http.NewCrossOriginProtection().Handler(guard.Handler(checkPassword)))

	post(mux, "alice@example.com", "123456", "192.0.2.1")
	post(mux, "alice@example.com", "qwerty", "192.0.2.1")
	post(mux, "alice@example.com", "letmein", "192.0.2.1")
	post(mux, "alice@example.com", "correct+horse", "198.51.100.7")
	// Output:
	// 192.0.2.1 401
	// 192.0.2.1 401
	// 192.0.2.1 429
	// 198.51.100.7 303
}

// A login by a script, which posts JSON. The handler answers 200 if the password is right, and 401
// if it is wrong.
func ExampleNew_json() {
	limiter, err := ratelimit.New(ratelimit.Config{})
	if err != nil {
		fmt.Println(err)
		return
	}
	guard, err := login.New(limiter, login.Config{
		Account:   login.JSONField("user.email"),
		Succeeded: ratelimit.StatusIn(http.StatusOK),
		PerPair:   ratelimit.MustParse("2 per 15 minutes"),
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	mux := http.NewServeMux()
	mux.Handle("POST /api/login", guard.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var body struct {
			User struct{ Email, Password string }
		}
		if json.NewDecoder(r.Body).Decode(&body) != nil || body.User.Password != "correct horse" {
			http.Error(w, "wrong password", http.StatusUnauthorized)
			return
		}
		fmt.Fprintln(w, "welcome", body.User.Email)
	})))

	for _, password := range []string{"123456", "qwerty", "letmein"} {
		body := `{"user":{"email":"alice@example.com","password":"` + password + `"}}`
		r := httptest.NewRequest(http.MethodPost, "/api/login", strings.NewReader(body))
		r.Header.Set("Content-Type", "application/json")
		w := httptest.NewRecorder()
		mux.ServeHTTP(w, r)
		fmt.Println(w.Code)
	}
	// Output:
	// 401
	// 401
	// 429
}

// A login by a form, where every answer is a redirect: to the account if the password is right, and
// back to the form if it is wrong. The status tells nothing, so Succeeded looks for what only a
// right password gets.
func ExampleNew_redirect() {
	limiter, err := ratelimit.New(ratelimit.Config{})
	if err != nil {
		fmt.Println(err)
		return
	}
	guard, err := login.New(limiter, login.Config{
		Account: login.FormField("email"),
		Succeeded: func(res ratelimit.Response) bool {
			return res.Status == http.StatusSeeOther && res.Header.Get("Location") == "/account"
		},
		PerPair: ratelimit.MustParse("2 per 15 minutes"),
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	handler := guard.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.PostFormValue("password") != "correct horse" {
			http.Redirect(w, r, "/login?wrong=1", http.StatusSeeOther)
			return
		}
		http.SetCookie(w, &http.Cookie{Name: "session", Value: "1"})
		http.Redirect(w, r, "/account", http.StatusSeeOther)
	}))

	post(handler, "alice@example.com", "correct+horse", "192.0.2.1")
	post(handler, "alice@example.com", "123456", "192.0.2.1")
	post(handler, "alice@example.com", "qwerty", "192.0.2.1")
	post(handler, "alice@example.com", "letmein", "192.0.2.1")
	// Output:
	// 192.0.2.1 303
	// 192.0.2.1 303
	// 192.0.2.1 303
	// 192.0.2.1 429
}

// exampleGuard returns a Guard of a new limiter.
func exampleGuard(cfg login.Config) *login.Guard {
	limiter, err := ratelimit.New(ratelimit.Config{})
	if err != nil {
		panic(err)
	}
	guard, err := login.New(limiter, cfg)
	if err != nil {
		panic(err)
	}
	return guard
}

// An owner has forgotten which password is right, and calls the support desk.
func ExampleGuard_Unlock() {
	guard := exampleGuard(login.Config{
		Account: login.FormField("email"), Succeeded: signedIn,
		PerPair: ratelimit.MustParse("2 per 15 minutes"),
	})
	handler := guard.Handler(checkPassword)
	post(handler, "alice@example.com", "horse", "192.0.2.1")
	post(handler, "alice@example.com", "battery", "192.0.2.1")
	post(handler, "alice@example.com", "correct+horse", "192.0.2.1")

	if err := guard.Unlock(context.Background(), "alice@example.com", netip.MustParseAddr("192.0.2.1")); err != nil {
		fmt.Println(err)
	}
	post(handler, "alice@example.com", "correct+horse", "192.0.2.1")
	// Output:
	// 192.0.2.1 401
	// 192.0.2.1 401
	// 192.0.2.1 429
	// 192.0.2.1 303
}

// The support desk looks up why an owner cannot log in.
func ExampleGuard_State() {
	guard := exampleGuard(login.Config{
		Account: login.FormField("email"), Succeeded: signedIn,
		Block: &ratelimit.Block{After: ratelimit.MustParse("3 per hour")[0], For: 15 * time.Minute, When: ratelimit.StatusIn(401)},
	})
	handler := guard.Handler(checkPassword)
	post(handler, "alice@example.com", "correct+horse", "192.0.2.1")
	for range 3 {
		post(handler, "alice@example.com", "oops", "192.0.2.1")
	}

	state, err := guard.State(context.Background(), "alice@example.com", netip.MustParseAddr("192.0.2.1"))
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("known:", state.Known)
	fmt.Println("pair:", state.Pair.Reason, "for", state.Pair.RetryAfter.Round(time.Minute))
	fmt.Println("account:", state.Account.Remaining, "failures left")
	// Output:
	// 192.0.2.1 303
	// 192.0.2.1 401
	// 192.0.2.1 401
	// 192.0.2.1 401
	// known: true
	// pair: blocked for 15m0s
	// account: 20 failures left
}

// Limits become stricter during an attack. The failures that were counted still count.
func ExampleGuard_Replace() {
	cfg := login.Config{
		Account: login.FormField("email"), Succeeded: signedIn,
		PerPair: ratelimit.MustParse("3 per 15 minutes"),
	}
	guard := exampleGuard(cfg)
	handler := guard.Handler(checkPassword)
	post(handler, "alice@example.com", "123456", "192.0.2.1")

	cfg.PerPair = ratelimit.MustParse("1 per 15 minutes")
	if err := guard.Replace(cfg); err != nil {
		fmt.Println(err)
	}
	post(handler, "alice@example.com", "qwerty", "192.0.2.1")
	// Output:
	// 192.0.2.1 401
	// 192.0.2.1 429
}

// A form that is posted by a page.
func ExampleFormField() {
	account := login.FormField("email")

	r := httptest.NewRequest(http.MethodPost, "/login", strings.NewReader("email=alice%40example.com&password=secret"))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	fmt.Println(account(r))
	fmt.Println(r.PostFormValue("password")) // the handler can still read the form
	// Output:
	// alice@example.com
	// secret
}

// An object that is posted by a script.
func ExampleJSONField() {
	account := login.JSONField("email")

	post := func(body string) *http.Request {
		return httptest.NewRequest(http.MethodPost, "/login", strings.NewReader(body))
	}
	fmt.Printf("%q\n", account(post(`{"email":"alice@example.com","password":"secret"}`)))
	fmt.Printf("%q\n", account(post(`{"email":"alice@example.com","Email":"bob@example.com"}`)))

	inner := login.JSONField("user.email")
	fmt.Printf("%q\n", inner(post(`{"user":{"email":"alice@example.com","password":"secret"}}`)))
	// Output:
	// "alice@example.com"
	// ""
	// "alice@example.com"
}
