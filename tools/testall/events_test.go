package main

import (
	"bytes"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestStreamOfGoTest(t *testing.T) {
	for _, tt := range []struct {
		name   string
		stream string
		want   string
		totals totals
	}{
		{
			name: "passed",
			stream: `{"Action":"start","Package":"a"}
{"Action":"output","Package":"a","Output":"-test.shuffle 1\n"}
{"Action":"output","Package":"a","Test":"TestA","Output":"=== RUN   TestA\n"}
{"Action":"output","Package":"a","Test":"TestA","Output":"--- PASS: TestA (0.00s)\n"}
{"Action":"pass","Package":"a","Test":"TestA"}
{"Action":"skip","Package":"a","Test":"TestB/sub"}
{"Action":"pass","Package":"a","Test":"TestB"}
{"Action":"output","Package":"a","Output":"PASS\n"}
{"Action":"output","Package":"a","Output":"ok  \ta\t0.1s\n"}
{"Action":"pass","Package":"a"}
`,
			want:   "ok  \ta\t0.1s\n",
			totals: totals{packages: 1, passed: 2, skipped: 1},
		},
		{
			name: "failed",
			stream: `{"Action":"output","Package":"a","Output":"-test.shuffle 1\n"}
{"Action":"output","Package":"a","Test":"TestA","Output":"=== RUN   TestA\n"}
{"Action":"output","Package":"a","Test":"TestA","Output":"    a_test.go:1: wrong\n"}
{"Action":"output","Package":"a","Test":"TestB","Output":"    a_test.go:2: fine\n"}
{"Action":"pass","Package":"a","Test":"TestB"}
{"Action":"output","Package":"a","Test":"TestA","Output":"--- FAIL: TestA (0.00s)\n"}
{"Action":"fail","Package":"a","Test":"TestA"}
{"Action":"output","Package":"a","Output":"FAIL\n"}
{"Action":"output","Package":"a","Output":"FAIL\ta\t0.1s\n"}
{"Action":"fail","Package":"a"}
`,
			want:   "-test.shuffle 1\n    a_test.go:1: wrong\n--- FAIL: TestA (0.00s)\nFAIL\ta\t0.1s\n",
			totals: totals{packages: 1, passed: 1, failed: 1},
		},
		{
			name: "failed without a failing test",
			stream: `{"Action":"output","Package":"a","Test":"TestA","Output":"about to exit\n"}
{"Action":"pass","Package":"a","Test":"TestA"}
{"Action":"output","Package":"a","Output":"exit status 3\n"}
{"Action":"fail","Package":"a"}
`,
			want:   "about to exit\nexit status 3\n",
			totals: totals{packages: 1, passed: 1, failed: 1},
		},
		{
			name: "failed in a test that did not end",
			stream: `{"Action":"output","Package":"a","Test":"TestA","Output":"panic: test timed out\n"}
{"Action":"fail","Package":"a","Test":"TestB"}
{"Action":"fail","Package":"a"}
`,
			want:   "panic: test timed out\n",
			totals: totals{packages: 1, failed: 1},
		},
		{
			name: "not built",
			stream: `{"ImportPath":"a [a.test]","Action":"build-output","Output":"./a_test.go:1: undefined: x\n"}
{"ImportPath":"a [a.test]","Action":"build-fail"}
{"Action":"output","Package":"a","Output":"FAIL\ta [build failed]\n"}
{"Action":"fail","Package":"a","FailedBuild":"a [a.test]"}
`,
			want:   "./a_test.go:1: undefined: x\nFAIL\ta [build failed]\n",
			totals: totals{packages: 1, failed: 1},
		},
		{
			name: "without tests",
			stream: `{"Action":"output","Package":"a","Output":"?   \ta\t[no test files]\n"}
{"Action":"skip","Package":"a"}
`,
			want: "?   \ta\t[no test files]\n",
		},
		{name: "not an event", stream: "what is this\n", want: "what is this\n"},
		{name: "cut off", stream: `{"Action":"pa`, want: `{"Action":"pa`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var out bytes.Buffer
			var got totals
			read(&screen{out: &out}, strings.NewReader(tt.stream), &got)
			assert.Equal(t, tt.want, out.String())
			assert.Equal(t, tt.totals, got)
		})
	}
}
