package respond

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

// standing is 1 of 2 tokens left, and the bucket full in 30 seconds.
var standing = Standing{Quota: 2, Window: 60, Limit: 2, Remaining: 1, Reset: 30 * time.Second, Allowed: true}

// forms are the forms of one limit, with what each writes for standing.
var forms = []struct {
	name string
	set  func(http.Header, Standing)
	want http.Header
}{
	{
		name: "draft 7", set: SetDraft7,
		want: http.Header{"Ratelimit-Policy": {"2;w=60"}, "Ratelimit": {"limit=2, remaining=1, reset=30"}},
	},
	{
		name: "draft 6", set: SetDraft6,
		want: http.Header{"Ratelimit-Limit": {"2"}, "Ratelimit-Remaining": {"1"}, "Ratelimit-Reset": {"30"}},
	},
	{
		name: "legacy", set: func(h http.Header, s Standing) { SetLegacy(h, s, time.Unix(946684800, 0)) },
		want: http.Header{"X-Ratelimit-Limit": {"2"}, "X-Ratelimit-Remaining": {"1"}, "X-Ratelimit-Reset": {"946684830"}},
	},
}

func TestFormsOfOneLimit(t *testing.T) {
	for _, form := range forms {
		t.Run(form.name, func(t *testing.T) {
			h := http.Header{}
			form.set(h, standing)
			assert.Equal(t, form.want, h)
		})
	}
}

func TestStricterLimitStays(t *testing.T) {
	for _, tc := range []struct {
		name    string
		left    int64 // by the inner limiter; the outer limiter has written standing
		allowed bool
		stays   bool
	}{
		{name: "more left by the inner limiter", left: 2, allowed: true, stays: true},
		{name: "as much left by both", left: 1, allowed: true, stays: true},
		{name: "less left by the inner limiter", left: 0, allowed: true, stays: false},
		{name: "denied with less left", left: 0, allowed: false, stays: false},
		{name: "denied with as much left", left: 1, allowed: false, stays: false},
		{name: "denied with more left", left: 2, allowed: false, stays: false},
	} {
		for _, form := range forms {
			t.Run(tc.name+", "+form.name, func(t *testing.T) {
				inner := Standing{Quota: 9, Window: 1, Limit: 8, Remaining: tc.left, Reset: time.Hour, Allowed: tc.allowed}
				want := http.Header{}
				form.set(want, inner)
				if tc.stays {
					want = form.want
				}
				h := http.Header{}
				form.set(h, standing)
				form.set(h, inner)
				assert.Equal(t, want, h)
			})
		}
	}
}

func TestFieldsOfAnotherKindAreReplaced(t *testing.T) {
	for name, field := range map[string]string{
		"draft 8 to 11":   `"r";r=0;t=60`,
		"not a number":    "limit=1, remaining=none, reset=1",
		"at the very end": "remaining=",
	} {
		h := http.Header{"Ratelimit": {field}, "Ratelimit-Remaining": {field}, "X-Ratelimit-Remaining": {field}}
		for _, form := range forms {
			form.set(h, standing)
			for field, value := range form.want {
				assert.Equal(t, value, h[field], "%s in %s", name, form.name)
			}
		}
	}
}

func TestDraft7RemainingIsFoundAtTheEnd(t *testing.T) {
	h := http.Header{"Ratelimit": {"limit=1, remaining=0"}}
	SetDraft7(h, standing)
	assert.Equal(t, http.Header{"Ratelimit": {"limit=1, remaining=0"}}, h)
}

func TestResetIsRoundedUp(t *testing.T) {
	s := standing
	s.Reset = 29*time.Second + 1
	for _, form := range forms {
		h := http.Header{}
		form.set(h, s)
		assert.Equal(t, form.want, h, form.name)
	}
}
