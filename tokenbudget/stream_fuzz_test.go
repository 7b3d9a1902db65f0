package tokenbudget

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// FuzzReaders feeds a response whole and in pieces, to both readers. The results must be equal, and
// the memory and all numbers within their bounds.
func FuzzReaders(f *testing.F) {
	for _, text := range []string{
		"data: {\"choices\":[],\"usage\":{\"prompt_tokens\":20,\"completion_tokens\":7}}\n\ndata: [DONE]\n\n",
		"event: message_start\r\ndata: {\"type\":\"message_start\",\"message\":{\"usage\":{\"input_tokens\":25}}}\r\n\r\n",
		"data:{\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"x\"},\ndata:\"usage\":{\"output_tokens\":1e99}}\r\r",
		"\ufeffdata: {\"delta\":[{\"type\":\"a\",\"text\":\"b\"}]}\n: comment\nid: 1",
		`{"a":{"usage":{}},"usage" : {"input_tokens":-1.5,"output_tokens":3,"x":"}\"]"},"b":[1,"usage"]} {}`,
		`{"usage":{"input_tokens":1}`, `["usage"]`, `}`, `"{`, "",
	} {
		f.Add([]byte(text), uint8(3))
	}
	f.Fuzz(func(t *testing.T, text []byte, size uint8) {
		pairs := [][2]reader{{&stream{}, &stream{}}, {&plain{}, &plain{}}}
		for _, pair := range pairs {
			pair[0].feed(text)
			for rest := text; len(rest) > 0; {
				n := min(int(size)+1, len(rest))
				pair[1].feed(rest[:n])
				rest = rest[n:]
			}
			whole, pieces := pair[0].end(), pair[1].end()
			require.Equal(t, whole, pieces)
			u := whole.counted.usage()
			for _, n := range []int64{u.Input, u.CacheRead, u.CacheWrite, u.Output} {
				require.GreaterOrEqual(t, n, int64(0))
				require.LessOrEqual(t, n, int64(mostTokens))
			}
			require.LessOrEqual(t, whole.text, int64(len(text)))
			require.LessOrEqual(t, whole.events, int64(len(text)))
			require.False(t, whole.final && !whole.counted.known, "final without a usage")
		}
	})
}

// TestEventsThatAreTooLong bounds the memory of a stream without an end, and reads on after it.
func TestEventsThatAreTooLong(t *testing.T) {
	s := &stream{}
	piece := []byte(strings.Repeat("a", 10_000))
	s.feed([]byte("data: "))
	for range 1000 {
		s.feed(piece)
		require.LessOrEqual(t, cap(s.line)+cap(s.data), 2*maxEvent)
	}
	s.feed([]byte("\n\ndata: {\"choices\":[],\"usage\":{\"completion_tokens\":7}}\n\n"))
	got := s.end()
	assert.Error(t, got.err)
	assert.True(t, got.final)
	assert.Equal(t, int64(7), got.counted.output)
	assert.GreaterOrEqual(t, got.text, int64(10_000_000))
}

// TestAPlainResponseOfAnyLength finds the usage behind 5 MB, as in a response with embeddings.
func TestAPlainResponseOfAnyLength(t *testing.T) {
	s := &plain{}
	s.feed([]byte(`{"data":[`))
	piece := []byte(strings.Repeat("0.123,", 10_000))
	for range 80 {
		s.feed(piece)
	}
	s.feed([]byte(`0],"usage":{"prompt_tokens":9}}`))
	assert.Less(t, cap(s.value), 1000)
	got := s.end()
	assert.True(t, got.final)
	assert.Equal(t, int64(9), got.counted.input)

	s = &plain{}
	s.feed([]byte(`{"usage":{"x":"` + strings.Repeat("a", 2*maxUsage) + `"}}`))
	assert.Error(t, s.end().err)
	assert.False(t, s.final)
}
