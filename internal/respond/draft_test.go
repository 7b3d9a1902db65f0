package respond

import (
	"math"
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestAppendLevel(t *testing.T) {
	b := AppendLevel(nil, `"p-1";r=`, 1, 30)
	assert.Equal(t, `"p-1";r=1;t=30`, string(b))
	b = AppendLevel(b, `"p-2";r=`, 0, 3240)
	assert.Equal(t, `"p-1";r=1;t=30, "p-2";r=0;t=3240`, string(b))
	assert.Equal(t, `"r";r=999999999999999;t=0`, string(AppendLevel(nil, `"r";r=`, math.MaxInt64, 0)), "at most 15 digits")
}

func TestSetDraftAfterOuterLimiters(t *testing.T) {
	for _, tc := range []struct {
		name  string
		outer http.Header
		want  http.Header
	}{
		{
			name:  "no outer limiter",
			outer: http.Header{},
			want:  http.Header{"Ratelimit-Policy": {`"r";q=1;w=60`}, "Ratelimit": {`"r";r=0;t=60`}},
		},
		{
			name:  "empty fields",
			outer: http.Header{"Ratelimit-Policy": {""}, "Ratelimit": {}},
			want:  http.Header{"Ratelimit-Policy": {`"r";q=1;w=60`}, "Ratelimit": {`"r";r=0;t=60`}},
		},
		{
			name:  "an outer limiter",
			outer: http.Header{"Ratelimit-Policy": {`"a";q=2;w=60`}, "Ratelimit": {`"a";r=1;t=30`}},
			want: http.Header{
				"Ratelimit-Policy": {`"a";q=2;w=60, "r";q=1;w=60`}, "Ratelimit": {`"a";r=1;t=30, "r";r=0;t=60`},
			},
		},
		{
			name:  "two lines become one",
			outer: http.Header{"Ratelimit": {`"a";r=1;t=1`, `"b";r=0;t=9`}},
			want: http.Header{
				"Ratelimit-Policy": {`"r";q=1;w=60`}, "Ratelimit": {`"a";r=1;t=1, "b";r=0;t=9, "r";r=0;t=60`},
			},
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			SetDraft(tc.outer, `"r";q=1;w=60`, []byte(`"r";r=0;t=60`), new(Values))
			assert.Equal(t, tc.want, tc.outer)
		})
	}
}

// Clients look a policy up by its name. If two limiters use a name, the stricter one stays.
func TestSetDraftAfterALimiterOfTheSameNames(t *testing.T) {
	h := http.Header{}
	SetDraft(h, `"a";q=9;w=60, "b";q=3;w=1`, []byte(`"a";r=8;t=54, "b";r=1;t=1`), new(Values))
	SetDraft(h, `"b";q=5;w=1, "a";q=7;w=60`, []byte(`"b";r=4;t=1, "a";r=0;t=9`), new(Values))
	assert.Equal(t, http.Header{
		"Ratelimit-Policy": {`"a";q=7;w=60, "b";q=3;w=1`}, "Ratelimit": {`"a";r=0;t=9, "b";r=1;t=1`},
	}, h)
}

func TestSetDraftWritesNothingWithoutLevels(t *testing.T) {
	h := http.Header{}
	SetDraft(h, `"r";q=1;w=60`, nil, new(Values))
	assert.Empty(t, h)
}

func TestAppendingToOneDraftFieldLeavesTheOther(t *testing.T) {
	h, v := http.Header{}, new(Values)
	SetDraft(h, "policies", []byte("levels"), v)
	h.Add("RateLimit-Policy", "more")
	h.Add("RateLimit", "more")
	assert.Equal(t, http.Header{"Ratelimit-Policy": {"policies", "more"}, "Ratelimit": {"levels", "more"}}, h)
	assert.Equal(t, Values{"policies", "levels"}, *v)
}

func TestSetDraftAllocatesNothing(t *testing.T) {
	h, v, levels := http.Header{}, new(Values), []byte(`"r";r=0;t=60`)
	assert.Zero(t, testing.AllocsPerRun(100, func() {
		clear(h)
		SetDraft(h, `"r";q=1;w=60`, levels, v)
	}))
}

func BenchmarkSetDraft(b *testing.B) {
	h, v, text := http.Header{}, new(Values), [64]byte{}
	b.ReportAllocs()
	for b.Loop() {
		clear(h)
		SetDraft(h, `"per-client";q=100;w=60`, AppendLevel(text[:0], `"per-client";r=`, 99, 60), v)
	}
}
