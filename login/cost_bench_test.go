package login_test

import (
	"strings"
	"testing"

	"github.com/ratelimit-go/ratelimit"
	"github.com/ratelimit-go/ratelimit/login"
)

// A denied request of a blocked pair costs less than 100 µs, however its body is made. The form of
// 31 parts is parsed by net/http.
func BenchmarkDeniedLogin(b *testing.B) {
	const form = "application/x-www-form-urlencoded"
	const part = "--B\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\nx\r\n"
	small := `{"email":"victim","password":"x"}`
	for _, bc := range []struct{ name, mime, body string }{
		{"small object", "application/json", small},
		{"many fields", "application/json", "{" + strings.Repeat(`"a":1,`, 10_800) + `"email":"victim"}`},
		{"as many fields as are read", "application/json", "{" + strings.Repeat(`"a":1,`, 1300) + `"email":"victim"}`},
		{"large array", "application/json", `{"a":[` + strings.Repeat(`1,`, 4000) + `1],"email":"victim"}`},
		{"many objects", "application/json", `{"a":[` + strings.Repeat(`{"a":1},`, 980) + `1],"email":"victim"}`},
		{"escapes", "application/json", `{"a":"` + strings.Repeat(`\n`, 4000) + `","email":"victim"}`},
		{"long account", "application/json", `{"email":"` + strings.Repeat(`\n`, 2000) + strings.Repeat(`\u00e9`, 660) + `"}`},
		{"small form", form, "email=victim&password=x"},
		{"form of many fields", form, strings.Repeat("a=1&", 9000) + "email=victim"},
		{"form of 31 parts", "multipart/form-data; boundary=B", strings.Repeat(part, 31) + "--B--\r\n"},
		{"form of 8 KiB", form, strings.Repeat("a=1&", 2000) + "email=victim"},
	} {
		b.Run(bc.name, func(b *testing.B) {
			field := login.JSONField("email")
			if bc.mime != "application/json" {
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
