package login_test

import (
	"strings"
	"testing"

	"github.com/ratelimit-go/ratelimit"
	"github.com/ratelimit-go/ratelimit/login"
)

// A denied request of a blocked pair costs about the same, however its body is made.
func BenchmarkDeniedLogin(b *testing.B) {
	const form = "application/x-www-form-urlencoded"
	small := `{"email":"victim","password":"x"}`
	for _, bc := range []struct{ name, mime, body string }{
		{"small object", "application/json", small},
		{"many fields", "application/json", "{" + strings.Repeat(`"a":1,`, 10_800) + `"email":"victim"}`},
		{"as many fields as are read", "application/json", "{" + strings.Repeat(`"a":1,`, 1300) + `"email":"victim"}`},
		{"large field", "application/json", `{"a":[` + strings.Repeat(`1,`, 4000) + `1],"email":"victim"}`},
		{"small form", form, "email=victim&password=x"},
		{"form of many fields", form, strings.Repeat("a=1&", 9000) + "email=victim"},
		{"form of 8 KiB", form, strings.Repeat("a=1&", 2000) + "email=victim"},
	} {
		b.Run(bc.name, func(b *testing.B) {
			field := login.JSONField("email")
			if bc.mime == form {
				field = login.FormField("email")
			}
			s := newRoute(b, newLimiter(b, ratelimit.Config{Hooks: unreported()}), login.Config{Account: field})
			for range 50 {
				serve(s, posted("192.0.2.1", "", bc.mime, bc.body))
			}
			for b.Loop() {
				serve(s, posted("192.0.2.1", "", bc.mime, bc.body))
			}
		})
	}
}
