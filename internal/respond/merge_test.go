package respond

import (
	"math"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

func TestMerge(t *testing.T) {
	now := time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)
	draft := func(policy, level string) http.Header {
		return http.Header{"Ratelimit-Policy": {policy}, "Ratelimit": {level}}
	}
	legacy := func(limit, left, reset string) http.Header {
		return http.Header{"X-Ratelimit-Limit": {limit}, "X-Ratelimit-Remaining": {left}, "X-Ratelimit-Reset": {reset}}
	}
	draft6 := func(limit, left, reset string) http.Header {
		return http.Header{"Ratelimit-Limit": {limit}, "Ratelimit-Remaining": {left}, "Ratelimit-Reset": {reset}}
	}
	for _, tc := range []struct {
		name         string
		outer, inner http.Header // inner is added, as httputil.ReverseProxy does
		status       int         // 0 means 200
		want         http.Header
	}{
		{
			name:  "lists are joined",
			outer: draft(`"a";q=9;w=60`, `"a";r=8;t=54`), inner: draft(`"b";q=5;w=1`, `"b";r=4;t=1`),
			want: draft(`"a";q=9;w=60, "b";q=5;w=1`, `"a";r=8;t=54, "b";r=4;t=1`),
		},
		{
			name:  "a name that both use, stricter inside",
			outer: draft(`"a";q=9;w=60, "b";q=2;w=1`, `"a";r=8;t=54, "b";r=1;t=1`), inner: draft(`"a";q=5;w=1`, `"a";r=4;t=1`),
			want: draft(`"a";q=5;w=1, "b";q=2;w=1`, `"a";r=4;t=1, "b";r=1;t=1`),
		},
		{
			name:  "a name that both use, stricter outside",
			outer: draft(`"a";q=9;w=60`, `"a";r=3;t=54`), inner: draft(`"a";q=5;w=1`, `"a";r=4;t=1`),
			want: draft(`"a";q=9;w=60`, `"a";r=3;t=54`),
		},
		{
			name:  "a name that both use, denied inside",
			outer: draft(`"a";q=9;w=60`, `"a";r=3;t=54`), inner: draft(`"a";q=5;w=1`, `"a";r=4;t=1`), status: 429,
			want: draft(`"a";q=5;w=1`, `"a";r=4;t=1`),
		},
		{
			name:  "one name with two partition keys",
			outer: draft(`"a";q=9;w=60`, `"a";r=3;t=54;pk=:YQ==:`), inner: draft(`"a";q=9;w=60`, `"a";r=4;t=1;pk=:Yg==:`),
			want: draft(`"a";q=9;w=60`, `"a";r=3;t=54;pk=:YQ==:, "a";r=4;t=1;pk=:Yg==:`),
		},
		{
			name:  "commas, quotes and parameters inside of a name",
			outer: draft(`"a";q=9;w=60`, `"a";r=3;t=54`), inner: draft(`"x, \";r=0";q=5;w=1`, `"x, \";r=0";r=4;t=1`),
			want: draft(`"a";q=9;w=60, "x, \";r=0";q=5;w=1`, `"a";r=3;t=54, "x, \";r=0";r=4;t=1`),
		},
		{
			name:  "a name without an end",
			outer: draft(`"a";q=9;w=60`, `"a";r=3;t=54`), inner: draft(`"b;q=5;w=1`, `"b;r=4;t=1`),
			want: draft(`"a";q=9;w=60`, `"a";r=3;t=54`),
		},
		{
			name:  "version 7, stricter inside",
			outer: draft("100;w=60", "limit=100, remaining=99, reset=1"), inner: draft("5;w=1", "limit=5, remaining=2, reset=1"),
			want: draft("5;w=1", "limit=5, remaining=2, reset=1"),
		},
		{
			name:  "version 7, stricter outside",
			outer: draft("100;w=60", "limit=100, remaining=1, reset=1"), inner: draft("5;w=1", "limit=5, remaining=2, reset=1"),
			want: draft("100;w=60", "limit=100, remaining=1, reset=1"),
		},
		{
			name:  "version 7 inside of version 11",
			outer: draft(`"a";q=9;w=60, "b";q=9;w=1`, `"a";r=8;t=54, "b";r=3;t=1`), inner: draft("5;w=1", "limit=5, remaining=2, reset=1"),
			want: draft("5;w=1", "limit=5, remaining=2, reset=1"),
		},
		{
			name:  "version 11 inside of version 7",
			outer: draft("5;w=1", "limit=5, remaining=2, reset=1"), inner: draft(`"a";q=9;w=60, "b";q=9;w=1`, `"a";r=8;t=54, "b";r=3;t=1`),
			want: draft("5;w=1", "limit=5, remaining=2, reset=1"),
		},
		{name: "version 6, stricter inside", outer: draft6("100", "99", "60"), inner: draft6("5", "2", "9"), want: draft6("5", "2", "9")},
		{
			name: "version 6, stricter outside", outer: draft6("100", "1", "60"),
			inner: draft6("5", "2", "9"), want: draft6("100", "1", "60"),
		},
		{name: "legacy, stricter inside", outer: legacy("100", "99", "60"), inner: legacy("5", "2", "9"), want: legacy("5", "2", "9")},
		{name: "legacy, stricter outside", outer: legacy("100", "1", "60"), inner: legacy("5", "2", "9"), want: legacy("100", "1", "60")},
		{
			name: "legacy, denied inside", outer: legacy("100", "0", "60"),
			inner: legacy("5", "3", "9"), status: 429, want: legacy("5", "3", "9"),
		},
		{
			name: "an unreadable number inside", outer: legacy("100", "7", "60"),
			inner: legacy("5", "many", "9"), want: legacy("100", "7", "60"),
		},
		{
			name: "a number with a comment", outer: legacy("100", "7", "60"),
			inner: legacy("5", "2;w=1", "9"), want: legacy("5", "2;w=1", "9"),
		},
		{
			name: "a field is missing inside", outer: legacy("100", "7", "60"),
			inner: http.Header{"X-Ratelimit-Remaining": {"2"}}, want: http.Header{"X-Ratelimit-Remaining": {"2"}},
		},
		{
			name: "two lines inside", outer: legacy("100", "7", "60"),
			inner: http.Header{"X-Ratelimit-Limit": {"8", "5"}, "X-Ratelimit-Remaining": {"6", "2"}, "X-Ratelimit-Reset": {"8", "9"}},
			want:  legacy("5", "2", "9"),
		},
		{name: "nothing inside", outer: legacy("100", "7", "60"), want: legacy("100", "7", "60")},
		{name: "nothing outside", outer: http.Header{}, inner: legacy("5", "2", "9"), want: legacy("5", "2", "9")},
		{
			name: "different forms", outer: draft6("100", "7", "60"), inner: http.Header{"X-Ratelimit-Remaining": {"2"}},
			want: http.Header{
				"Ratelimit-Limit": {"100"}, "Ratelimit-Remaining": {"7"}, "Ratelimit-Reset": {"60"}, "X-Ratelimit-Remaining": {"2"},
			},
		},
		{
			name: "the longer wait", outer: http.Header{"Retry-After": {"5"}}, inner: http.Header{"Retry-After": {"10", "7"}},
			want: http.Header{"Retry-After": {"10"}},
		},
		{
			name: "a date", outer: http.Header{"Retry-After": {"59"}}, inner: http.Header{"Retry-After": {"Sat, 01 Jan 2000 00:01:00 GMT"}},
			want: http.Header{"Retry-After": {"Sat, 01 Jan 2000 00:01:00 GMT"}},
		},
		{
			name: "an unreadable wait", outer: http.Header{"Retry-After": {"5"}}, inner: http.Header{"Retry-After": {"soon"}},
			want: http.Header{"Retry-After": {"5"}},
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			h := tc.outer.Clone()
			for name, lines := range tc.inner {
				for _, line := range lines {
					h.Add(name, line)
				}
			}
			status := max(tc.status, 200)
			merge(h, tc.outer, status, now)
			assert.Equal(t, tc.want, h)
			merge(h, tc.outer, status, now)
			assert.Equal(t, tc.want, h, "once more")
		})
	}
}

// An inner limiter of this library replaces fields, and so do others. Their lines are compared too.
func TestMergeOfReplacedFields(t *testing.T) {
	outer := http.Header{"X-Ratelimit-Limit": {"5"}, "X-Ratelimit-Remaining": {"2"}, "X-Ratelimit-Reset": {"9"}}
	h := http.Header{"X-Ratelimit-Limit": {"100"}, "X-Ratelimit-Remaining": {"99"}, "X-Ratelimit-Reset": {"60"}}
	merge(h, outer, 200, time.Time{})
	assert.Equal(t, outer, h)

	outer = http.Header{"Ratelimit-Policy": {`"a";q=9;w=60`}, "Ratelimit": {`"a";r=8;t=54`}}
	h = http.Header{"Ratelimit-Policy": {`"a";q=9;w=60, "b";q=5;w=1`}, "Ratelimit": {`"a";r=8;t=54, "b";r=0;t=1`}}
	want := h.Clone()
	merge(h, outer, 429, time.Time{})
	assert.Equal(t, want, h)

	merge(h, http.Header{}, 200, time.Time{})
	assert.Equal(t, want, h)
	h = http.Header{}
	merge(h, outer, 200, time.Time{})
	assert.Empty(t, h, "the handler has deleted them")
}

func FuzzMerge(f *testing.F) {
	f.Add(`"a";q=9;w=60`, `"a";r=8;t=54`, `"b";q=9;w=60, "c"`, `"b";r=1, "c\"`, 200)
	f.Add("100;w=60", "limit=100, remaining=1", `"`, `"\`, 429)
	f.Fuzz(func(t *testing.T, policy, level, innerPolicy, innerLevel string, status int) {
		outer := http.Header{"Ratelimit-Policy": {policy}, "Ratelimit": {level}, "X-Ratelimit-Remaining": {level}, "Retry-After": {level}}
		h := outer.Clone()
		for name, line := range map[string]string{
			"Ratelimit-Policy": innerPolicy, "Ratelimit": innerLevel, "X-Ratelimit-Remaining": innerLevel, "Retry-After": innerLevel,
		} {
			h.Add(name, line)
		}
		merge(h, outer, status, time.Unix(0, 0))
		for name, lines := range h {
			if len(lines) != 1 {
				t.Errorf("%s: %q", name, lines)
			}
		}
	})
}

// A name goes on after an escaped quote. Its partition key belongs to it.
func TestNamesOfMembers(t *testing.T) {
	for member, want := range map[string]string{
		`"a";r=1;t=2`:             `"a"`,
		`"a\"b";r=1`:              `"a\"b"`,
		`"a\\";r=1`:               `"a\\"`,
		`"a";pk=:YQ==:;r=1`:       `"a":YQ==:`,
		`"a";r=1;pk=:YQ==:`:       `"a":YQ==:`,
		`"never closed`:           `"never closed`,
		`"never closed either\"`:  `"never closed either\"`,
		`"ends with a backslash\`: `"ends with a backslash\`,
		``:                        ``,
	} {
		assert.Equal(t, want, nameOf(member), member)
	}
}

func TestNumberAtTheBeginning(t *testing.T) {
	for text, want := range map[string]int64{
		"12": 12, " 12;t=3": 12, "0": 0, "": math.MaxInt64, "-5": math.MaxInt64, "+5": math.MaxInt64,
		"x": math.MaxInt64, "99999999999999999999": math.MaxInt64,
	} {
		assert.Equal(t, want, number(text), text)
	}
}

func TestMembersOfAList(t *testing.T) {
	for list, want := range map[string][]string{
		`"a";q=1, "b";q=2`:    {`"a";q=1`, `"b";q=2`},
		`"a";q=1,"b";q=2`:     {`"a";q=1`, `"b";q=2`},
		` , "a" ,, "b" ,`:     {`"a"`, `"b"`},
		`"a,b\",c";q=1,"d"`:   {`"a,b\",c";q=1`, `"d"`},
		`"a", "never closed,`: {`"a"`},
		``:                    nil,
	} {
		assert.Equal(t, want, members(list), list)
	}
}

// The policy of the inner limiter is in an older form, its level is not. So they cannot be joined.
func TestMergeOfMixedForms(t *testing.T) {
	outer := http.Header{"Ratelimit-Policy": {`"out";q=9;w=9`}, "Ratelimit": {`"out";r=5;t=1`}}
	h := outer.Clone()
	h.Add("RateLimit-Policy", "5;w=5")
	h.Add("RateLimit", `"in";r=2;t=2`)
	merge(h, outer, http.StatusOK, time.Now())
	assert.Equal(t, http.Header{"Ratelimit-Policy": {"5;w=5"}, "Ratelimit": {`"in";r=2;t=2`}}, h)
}
