package respond

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestStorable(t *testing.T) {
	for _, tc := range []struct {
		name          string
		method        string // GET if empty
		authorization string
		status        int // 200 if 0
		header        http.Header
		want          bool
	}{
		{name: "without a word", want: true},
		{name: "HEAD", method: "HEAD", want: true},
		{name: "POST", method: "POST", want: false},
		{name: "POST that allows it", method: "POST", header: http.Header{"Cache-Control": {"max-age=60"}}, want: true},
		{name: "public", header: http.Header{"Cache-Control": {"public"}}, want: true},
		{
			name:   "public, in capitals, after others",
			header: http.Header{"Cache-Control": {"no-transform", "PUBLIC , max-age=60"}}, want: true,
		},
		{name: "private", header: http.Header{"Cache-Control": {"private, max-age=60"}}, want: false},
		{name: "private fields only", header: http.Header{"Cache-Control": {`private="set-cookie, x", max-age=60`}}, want: true},
		{name: "not at all", header: http.Header{"Cache-Control": {"max-age=60", "No-Store"}}, want: false},
		{
			name:   "by caches that know the status",
			header: http.Header{"Cache-Control": {"Must-Understand, no-store, max-age=60"}}, want: true,
		},
		{
			name:   "by private caches that know the status",
			header: http.Header{"Cache-Control": {"must-understand, no-store, private"}}, want: false,
		},
		{
			name:   "by a CDN that knows the status",
			header: http.Header{"Cache-Control": {"private"}, "Cdn-Cache-Control": {"must-understand, No-Store"}}, want: true,
		},
		{name: "no-store within a text", header: http.Header{"Cache-Control": {`x="a, no-store, b"`}}, want: true},
		{name: "to be checked each time", header: http.Header{"Cache-Control": {"no-cache"}}, want: true},
		{name: "Expires", status: 500, header: http.Header{"Expires": {"Thu, 01 Jan 1970 00:00:00 GMT"}}, want: true},
		{name: "an answer about a stored response", status: 304, want: true},
		{name: "not found", status: 404, want: true},
		{name: "an error", status: 500, want: false},
		{name: "a denial", status: 429, want: false},
		{name: "a redirect for now", status: 302, want: false},
		{name: "a redirect for now, with an age", status: 302, header: http.Header{"Cache-Control": {"s-maxage=60"}}, want: true},
		{name: "of a user", authorization: "Bearer x", want: false},
		{name: "of a user, with an age", authorization: "Bearer x", header: http.Header{"Cache-Control": {"max-age=60"}}, want: false},
		{name: "of a user, public", authorization: "Bearer x", header: http.Header{"Cache-Control": {"public, max-age=60"}}, want: true},
		{
			name: "of a user, for shared caches", authorization: "Bearer x",
			header: http.Header{"Cache-Control": {"s-maxage=60"}}, want: true,
		},
		{
			name: "of a user, if checked", authorization: "Bearer x",
			header: http.Header{"Cache-Control": {"must-revalidate, max-age=6"}}, want: true,
		},
		{
			name: "by a CDN alone", authorization: "Bearer x",
			header: http.Header{"Cache-Control": {"no-store"}, "Cdn-Cache-Control": {"max-age=60"}}, want: true,
		},
		{
			name:   "by one CDN alone",
			header: http.Header{"Cache-Control": {"private"}, "Cloudflare-Cdn-Cache-Control": {"max-age=60"}}, want: true,
		},
		{name: "by a surrogate alone", status: 302, header: http.Header{"Surrogate-Control": {"max-age=60"}}, want: true},
		{
			name: "by nginx alone", method: "POST",
			header: http.Header{"Cache-Control": {"private"}, "X-Accel-Expires": {"60"}}, want: true,
		},
		{name: "not by nginx", status: 500, header: http.Header{"X-Accel-Expires": {"0"}}, want: false},
		{
			name:   "not by a CDN, nor by others",
			header: http.Header{"Cache-Control": {"private"}, "Cdn-Cache-Control": {"No-Store, max-age=1"}}, want: false,
		},
		{
			name:   "not by a CDN, but by others",
			header: http.Header{"Cache-Control": {"max-age=60"}, "Cdn-Cache-Control": {"private"}}, want: true,
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			method, status := tc.method, tc.status
			if method == "" {
				method = http.MethodGet
			}
			if status == 0 {
				status = http.StatusOK
			}
			r := httptest.NewRequest(method, "/", nil)
			if tc.authorization != "" {
				r.Header.Set("Authorization", tc.authorization)
			}
			assert.Equal(t, tc.want, Storable(r, status, tc.header))
		})
	}
}

// RFC 9110, section 15.1, and 304.
func TestStatusesThatACacheStores(t *testing.T) {
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	var got []int
	for status := 200; status < 600; status++ {
		if Storable(r, status, nil) {
			got = append(got, status)
		}
	}
	assert.Equal(t, []int{200, 203, 204, 206, 300, 301, 304, 308, 404, 405, 410, 414, 501}, got)
}
