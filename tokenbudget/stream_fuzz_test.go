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

// TestUsageOfAnEventThatIsTooLong reads the usage of a last event with an image, in two pieces
// of any size, and nothing else of it.
func TestUsageOfAnEventThatIsTooLong(t *testing.T) {
	image := strings.Repeat("A", maxEvent)
	tests := map[string]struct {
		event string
		final bool
	}{
		"an image":                {`data: {"type":"image_edit.completed","b64_json":"@","usage":{"output_tokens":7}}`, true},
		"usage in front":          {`data:{"usage":{"output_tokens":7},"b64_json":"@"}`, true},
		"a response with images":  {`data: {"response":{"output":[{"usage":1,"b":"@"}],"usage":{"output_tokens":7}},"n":[{}]}`, true},
		"other lines":             {"id: 5\ndata: {\"b\":\"@\",\"usage\":{\"output_tokens\":7}}\nevent: x", true},
		"deeper":                  {`data: {"response":{"output":{"b":"@","usage":{"output_tokens":7}}},"usage":null}`, false},
		"in a list":               {`data: {"response":[{"b":"@","usage":{"output_tokens":7}}]}`, false},
		"of another object":       {`data: {"item":{"b":"@","usage":{"output_tokens":7}}}`, false},
		"a comment":               {`: {"b":"@","usage":{"output_tokens":7}}`, false},
		"an object that is open":  {`data: {"b":"@","usage":{"output_tokens":7}`, false},
		"an object in two lines":  {"data: {\"b\":\"@\",\ndata: \"usage\":{\"output_tokens\":7}}", false},
		"an object on line two":   {"data: 1\ndata: {\"b\":\"@\",\"usage\":{\"output_tokens\":7}}", false},
		"a name that is too long": {`data: {"response_with_x":{"b":"@","usage":{"output_tokens":7}}}`, false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			text := []byte(strings.ReplaceAll(test.event, "@", image) + "\n\n")
			for _, n := range []int{0, 3, 5, 6, 1000, maxEvent, len(text) - 5} {
				s := &stream{}
				s.feed(text[:n])
				s.feed(text[n:])
				got := s.end()
				assert.Equal(t, test.final, got.final)
				assert.Equal(t, test.final, got.counted.output == 7)
				assert.Equal(t, test.final, got.text == 0)
				assert.Equal(t, test.final, got.err == nil)
				assert.LessOrEqual(t, got.text, int64(len(text)))
			}
		})
	}
}
