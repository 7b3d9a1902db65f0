package tokenbudget_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit/tokenbudget"
)

const (
	asJSON   = "application/json"
	asStream = "text/event-stream; charset=utf-8"
)

// TestChargesWhatTheResponseSays sends a request that reserves 211 tokens: 11 for its 32 bytes, and
// 200 for the output.
func TestChargesWhatTheResponseSays(t *testing.T) {
	const request = `{"max_tokens":200,"p":"123456"}` + " " // 32 bytes
	tests := map[string]struct {
		status      int
		media, body string
		want        int64
		basis       tokenbudget.Basis
	}{
		"OpenAI chat": {
			200, asJSON, `{"id":"a","choices":[{"message":{"content":"usage"}}],` +
				`"usage":{"prompt_tokens":20,"completion_tokens":7,"total_tokens":27}}`, 27, tokenbudget.ByUsage,
		},
		"OpenAI chat, half of 16 cached tokens": {
			200, asJSON, `{"usage":{"prompt_tokens":20,"completion_tokens":7,` +
				`"prompt_tokens_details":{"cached_tokens":16}}}`, 19, tokenbudget.ByUsage,
		},
		"OpenAI responses": {
			200, asJSON, `{"output":[{"usage":{"input_tokens":999}}],"usage":{"input_tokens":12,` +
				`"input_tokens_details":{"cached_tokens":2},"output_tokens":5}}`, 16, tokenbudget.ByUsage,
		},
		"Anthropic messages": {
			200, asJSON, `{"content":[],"usage":{"input_tokens":9,"cache_creation_input_tokens":4,` +
				`"cache_read_input_tokens":100,"output_tokens":3}}`, 9 + 8 + 50 + 3, tokenbudget.ByUsage,
		},
		"Anthropic messages with a compaction and an advisor, which the totals do not have": {
			200, asJSON, `{"usage":{"input_tokens":9,"cache_read_input_tokens":100,"output_tokens":3,"iterations":[` +
				`{"type":"compaction","input_tokens":180,"output_tokens":30},` +
				`{"type":"message","input_tokens":9,"cache_read_input_tokens":100,"output_tokens":3},` +
				`{"type":"advisor_message","input_tokens":70,"output_tokens":8}]}}`, 259 + 50 + 41, tokenbudget.ByUsage,
		},
		"iterations that are less than the totals": {
			200, asJSON, `{"usage":{"input_tokens":9,"output_tokens":3,"iterations":[{"input_tokens":-9,"output_tokens":2}]}}`,
			12, tokenbudget.ByUsage,
		},
		"LiteLLM: the cached tokens in both forms": {
			200, asJSON, `{"usage":{"prompt_tokens":20,"completion_tokens":7,"total_tokens":27,` +
				`"prompt_tokens_details":{"cached_tokens":8,"cache_creation_tokens":4},` +
				`"cache_read_input_tokens":8,"cache_creation_input_tokens":4}}`, 8 + 4 + 8 + 7, tokenbudget.ByUsage,
		},
		"OpenRouter: written tokens are a part of the prompt": {
			200, asJSON, `{"usage":{"prompt_tokens":20,"completion_tokens":7,` +
				`"prompt_tokens_details":{"cached_tokens":0,"cache_write_tokens":15}}}`, 5 + 30 + 7, tokenbudget.ByUsage,
		},
		"more written tokens than the prompt has": {
			200, asJSON, `{"usage":{"prompt_tokens":20,"completion_tokens":7,` +
				`"prompt_tokens_details":{"cached_tokens":16,"cache_write_tokens":15}}}`, 8 + 8 + 7, tokenbudget.ByUsage,
		},
		"a total only, as for embeddings": {200, asJSON, `{"data":[],"usage":{"total_tokens":9}}`, 9, tokenbudget.ByUsage},
		"a usage that the client can have written": {
			200, asJSON, `{"metadata":{"usage":{"input_tokens":0,"output_tokens":0}}}`, 211,
			tokenbudget.ByReservation,
		},
		"OpenAI chat, streamed": {
			200, asStream, events(`{"choices":[{"delta":{"content":"a"}}],"usage":null}`,
				`{"choices":[],"usage":{"prompt_tokens":20,"completion_tokens":7}}`, "[DONE]"),
			27, tokenbudget.ByUsage,
		},
		"streamed with a usage in each chunk": {
			200, asStream, events(
				`{"choices":[{"delta":{"content":"a"}}],"usage":{"prompt_tokens":20,"completion_tokens":1}}`,
				`{"choices":[{"delta":{"content":"b"}}],"usage":{"prompt_tokens":20,"completion_tokens":2,`+
					`"prompt_tokens_details":{"cached_tokens":10}}}`, "[DONE]"),
			17, tokenbudget.ByUsage,
		},
		"OpenAI responses, streamed": {
			200, asStream, events(`{"type":"response.created","response":{"usage":null}}`,
				`{"type":"response.output_text.delta","delta":"Hello"}`,
				`{"type":"response.completed","response":{"usage":{"input_tokens":12,"output_tokens":5}}}`),
			17, tokenbudget.ByUsage,
		},
		"OpenAI image, streamed": {
			200, asStream, events(`{"type":"image_generation.partial_image","b64_json":"AAAA"}`,
				`{"type":"image_generation.completed","b64_json":"AAAA","usage":{"input_tokens":8,"output_tokens":16}}`),
			24, tokenbudget.ByUsage,
		},
		"OpenAI transcription, streamed": {
			200, asStream, events(`{"type":"transcript.text.delta","delta":"Hello"}`,
				`{"type":"transcript.text.done","text":"Hello","usage":{"input_tokens":14,"output_tokens":2}}`),
			16, tokenbudget.ByUsage,
		},
		"OpenAI speech, streamed": {
			200, asStream, events(`{"type":"speech.audio.delta","audio":"AAAA"}`,
				`{"type":"speech.audio.done","usage":{"input_tokens":14,"output_tokens":90}}`), 104, tokenbudget.ByUsage,
		},
		"Anthropic messages with a compaction, streamed": {
			200, asStream, events(
				`{"type":"message_start","message":{"usage":{"input_tokens":25,"output_tokens":1}}}`,
				`{"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"input_tokens":25,"output_tokens":15,`+
					`"iterations":[{"input_tokens":80,"output_tokens":20},{"input_tokens":25,"output_tokens":15}]}}`,
				`{"type":"message_stop"}`), 140, tokenbudget.ByUsage,
		},
		"Anthropic messages, streamed": {
			200, asStream, strings.ReplaceAll("event: message_start\n"+events(
				`{"type":"message_start","message":{"usage":{"input_tokens":25,"output_tokens":1}}}`,
				`{"type":"content_block_delta","delta":{"type":"text_delta","text":"Hello"}}`,
				`{"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":15}}`,
				`{"type":"message_stop"}`), "\n", "\r\n"),
			40, tokenbudget.ByUsage,
		},
		"LocalAI, streamed: zeros in each chunk": {
			200, asStream, events(
				`{"choices":[{"delta":{"role":"assistant","content":""}}],"usage":{"prompt_tokens":0,"completion_tokens":0}}`,
				`{"choices":[{"delta":{"content":"a"}}],"usage":{"prompt_tokens":0,"completion_tokens":0,"total_tokens":0}}`,
				`{"choices":[{"delta":{"content":""}}],"usage":{"prompt_tokens":0,"completion_tokens":0,"total_tokens":0}}`,
				"[DONE]"), 211, tokenbudget.ByReservation,
		},
		"zeros, and no output": {
			200, asStream, events(`{"choices":[],"usage":{"prompt_tokens":0,"completion_tokens":0}}`, "[DONE]"),
			0, tokenbudget.ByUsage,
		},
		"a usage of zeros": {
			200, asJSON, `{"choices":[{"message":{"content":"Hello"}}],"usage":{"prompt_tokens":0,"completion_tokens":0}}`, 211,
			tokenbudget.ByReservation,
		},
		"a usage of the first tokens only": {
			200, asStream, events(
				`{"type":"message_start","message":{"usage":{"input_tokens":25,"output_tokens":1}}}`,
				`{"type":"content_block_delta","delta":{"type":"text_delta","text":"`+strings.Repeat("a", 900)+`"}}`,
				`{"type":"message_stop"}`), 25 + 300, tokenbudget.ByReservation,
		},
		"streamed without usage": {200, asStream, events(`{"choices":[]}`, "[DONE]"), 211, tokenbudget.ByReservation},
		"a stream that sends more": {
			200, asStream, events(`{"delta":"` + strings.Repeat("a", 900) + `"}`), 311, tokenbudget.ByReservation,
		},
		"a stream that breaks": {200, asStream, `data: {"choi`, 211, tokenbudget.ByReservation},
		"a long answer without usage": {
			200, asJSON, `{"choices":[{"message":{"content":"` + strings.Repeat("a", 860) + `"}}]}`, 11 + 300,
			tokenbudget.ByReservation,
		},
		"lines of JSON without usage": {
			200, "application/x-ndjson", strings.Repeat(`{"message":"aaaaaaaaaaaa"}`+"\n\n\n\n", 30), 11 + 300,
			tokenbudget.ByReservation,
		},
		"no usage":                    {200, asJSON, `{"choices":[]}`, 211, tokenbudget.ByReservation},
		"no JSON":                     {200, "text/plain", `usage`, 211, tokenbudget.ByReservation},
		"a usage of another kind":     {200, asJSON, `{"usage":[]}`, 211, tokenbudget.ByReservation},
		"a negative usage":            {200, asJSON, `{"usage":{"input_tokens":-5,"output_tokens":2}}`, 2, tokenbudget.ByUsage},
		"an error":                    {500, asJSON, `{"error":{}}`, 0, tokenbudget.ByError},
		"a denial of the vendor":      {429, asJSON, `{"error":{}}`, 0, tokenbudget.ByError},
		"an error that says its cost": {500, asJSON, `{"usage":{"input_tokens":5,"output_tokens":2}}`, 7, tokenbudget.ByUsage},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			cfg := single("1000 per minute")
			cfg.CacheRead, cfg.CacheWrite = 0.5, 2
			var got []tokenbudget.Charge
			cfg.Settled = func(_ *http.Request, c tokenbudget.Charge) { got = append(got, c) }
			cfg.OnError = expectErrors
			g := newGuard(t, cfg)
			w := call(g.Handler(answering(test.status, test.media, test.body)), ask(request, "a"))
			assert.Equal(t, test.status, w.Code)
			assert.Equal(t, test.body, w.Body.String())
			require.Len(t, got, 1)
			assert.Equal(t, test.basis, got[0].Basis)
			assert.Equal(t, test.want, got[0].Tokens)
			assert.Equal(t, int64(211), got[0].Reserved)
			assert.Equal(t, 2000-test.want, level(t, g, "user per 1m0s", "a"))
		})
	}
}

// TestReservation shows what a request reserves, beside the 1 token per 3 bytes of its body.
func TestReservation(t *testing.T) {
	tests := map[string]struct {
		body   string
		output int64
	}{
		"max_tokens":                   {`{"max_tokens":10}`, 10},
		"max_completion_tokens":        {`{"max_completion_tokens":10}`, 10},
		"max_output_tokens":            {`{"max_output_tokens":10}`, 10},
		"the larger of both":           {`{"max_tokens":10,"max_completion_tokens":20,"max_tokens":5}`, 20},
		"several choices":              {`{"max_tokens":10,"n":3}`, 30},
		"several prompts":              {`{"prompt":["a","b","c"],"max_tokens":10,"n":2}`, 60},
		"several prompts of tokens":    {`{"prompt":[[1,2],[3]],"max_tokens":10}`, 20},
		"a prompt that is no text":     {`{"prompt":["a",null],"max_tokens":10}`, 20},
		"a prompt of tokens":           {`{"prompt":[1,2,3],"max_tokens":10}`, 10},
		"a prompt and no prompt":       {`{"prompt":"a","prompt":[],"max_tokens":10}`, 10},
		"no bound":                     {`{"model":"m"}`, 1024},
		"a bound of null":              {`{"max_tokens":null}`, 1024},
		"a negative bound":             {`{"max_tokens":-5}`, 1024},
		"another letter case":          {`{"Max_Tokens":10}`, 10},
		"a letter that is an s":        {`{"max_token\u017f":10}`, 10},
		"a bound that is nested":       {`{"x":{"max_tokens":10}}`, 1024},
		"no JSON":                      {`max_tokens=10`, 1024},
		"JSON that ends too early":     {`{"max_tokens":10`, 10},
		"a bound that is text":         {`{"max_tokens":"10"}`, 1024},
		"a large bound that is text":   {`{"max_tokens":"40_000"}`, 40_000},
		"two bounds, one of them text": {`{"max_tokens":"20","max_tokens":10}`, 20},
		"choices that are text":        {`{"max_tokens":10,"n":" 3"}`, 30},
		"an empty body":                {``, 1024},
		"a bound that the limit lacks": {`{"max_tokens":1e300}`, 1 << 30},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			cfg := single("5000 per minute")
			var got tokenbudget.Charge
			cfg.Settled = func(_ *http.Request, c tokenbudget.Charge) { got = c }
			cfg.OnError = expectErrors
			g := newGuard(t, cfg)
			w := call(g.Handler(answering(200, asJSON, `{}`)), ask(test.body, "a"))
			assert.Equal(t, 200, w.Code, w.Body)
			want := int64(len(test.body)+2)/3 + test.output
			assert.Equal(t, want, got.Reserved)
			assert.Equal(t, 10000-min(want, 5000), level(t, g, "user per 1m0s", "a"))
		})
	}
}
