package llm_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	"github.com/anthropics/anthropic-sdk-go"
	anthropicoption "github.com/anthropics/anthropic-sdk-go/option"
	"github.com/openai/openai-go/v3"
	openaioption "github.com/openai/openai-go/v3/option"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit"
	"github.com/ratelimit-go/ratelimit/tokenbudget"
)

// vendor is a server that behaves like the vendors: its answers have input tokens in their prompt
// and use output tokens.
type vendor struct {
	input, output, cached int

	mu      sync.Mutex
	charges []tokenbudget.Charge
	guard   *tokenbudget.Guard
	server  *httptest.Server
}

// start starts v behind a Guard with a budget for each API key.
func start(t *testing.T, v *vendor, cfg tokenbudget.Config, limits string) {
	t.Helper()
	cfg.Budgets = []tokenbudget.Budget{{
		Name: "key", Limits: ratelimit.MustParse(limits),
		Key: ratelimit.FirstOf(ratelimit.ByHeader("X-Api-Key"), ratelimit.ByHeader("Authorization")),
	}}
	cfg.OnError = func(_ context.Context, err error) { t.Errorf("unexpected: %v", err) }
	cfg.Settled = func(_ *http.Request, c tokenbudget.Charge) {
		v.mu.Lock()
		defer v.mu.Unlock()
		v.charges = append(v.charges, c)
	}
	var err error
	v.guard, err = tokenbudget.New(cfg)
	require.NoError(t, err)
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v1/chat/completions", v.chat)
	mux.HandleFunc("POST /v1/responses", v.responses)
	mux.HandleFunc("POST /v1/messages", v.messages)
	v.server = httptest.NewServer(v.guard.Handler(mux))
	t.Cleanup(v.server.Close)
}

// charged stops the server, and returns what all calls were charged.
func (v *vendor) charged() (total int64, charges []tokenbudget.Charge) {
	v.server.Close() // waits for the handlers
	for _, c := range v.charges {
		total += c.Tokens
	}
	return total, v.charges
}

// left returns the tokens in the bucket of the limit per minute, without the debt.
func (v *vendor) left(t *testing.T, field, value string, debt int64) int64 {
	t.Helper()
	r := httptest.NewRequest(http.MethodPost, "/", nil)
	r.Header.Set(field, value)
	key, err := ratelimit.ByHeader(field).Key(r)
	require.NoError(t, err)
	d, err := v.guard.Limiter().Peek(t.Context(), "key per 1m0s", key)
	require.NoError(t, err)
	return d.Remaining - debt
}

func (v *vendor) openAI(options ...openaioption.RequestOption) openai.Client {
	options = append([]openaioption.RequestOption{
		openaioption.WithBaseURL(v.server.URL + "/v1"), openaioption.WithAPIKey("secret"),
	}, options...)
	return openai.NewClient(options...)
}

func (v *vendor) anthropic(options ...anthropicoption.RequestOption) anthropic.Client {
	options = append([]anthropicoption.RequestOption{
		anthropicoption.WithBaseURL(v.server.URL), anthropicoption.WithAPIKey("secret"),
	}, options...)
	return anthropic.NewClient(options...)
}

// asked is what the vendor reads of a request: the body arrives whole.
type asked struct {
	Model         string `json:"model"`
	Stream        bool   `json:"stream"`
	StreamOptions struct {
		IncludeUsage bool `json:"include_usage"`
	} `json:"stream_options"`
}

func readAsked(w http.ResponseWriter, r *http.Request) (a asked) {
	if err := json.NewDecoder(r.Body).Decode(&a); err != nil || a.Model == "" {
		w.WriteHeader(http.StatusBadRequest)
	}
	return a
}

func sendJSON(w http.ResponseWriter, format string, args ...any) {
	w.Header().Set("Content-Type", "application/json")
	_, _ = fmt.Fprintf(w, format, args...)
}

// send sends one event of a stream at once.
func send(w http.ResponseWriter, event, format string, args ...any) {
	if event != "" {
		_, _ = fmt.Fprintf(w, "event: %s\n", event)
	}
	_, _ = fmt.Fprintf(w, "data: "+format+"\n\n", args...)
	w.(http.Flusher).Flush()
}

func (v *vendor) chat(w http.ResponseWriter, r *http.Request) {
	a := readAsked(w, r)
	usage := fmt.Sprintf(`{"prompt_tokens":%d,"completion_tokens":%d,"total_tokens":%d,`+
		`"prompt_tokens_details":{"cached_tokens":%d}}`, v.input, v.output, v.input+v.output, v.cached)
	if !a.Stream {
		sendJSON(w, `{"id":"c","object":"chat.completion","model":"m","choices":[{"index":0,"finish_reason":"stop",`+
			`"message":{"role":"assistant","content":"Hello"}}],"usage":%s}`, usage)
		return
	}
	w.Header().Set("Content-Type", "text/event-stream")
	const chunk = `{"id":"c","object":"chat.completion.chunk","model":"m","choices":%s,"usage":%s}`
	for range v.output {
		send(w, "", chunk, `[{"index":0,"delta":{"content":"a"}}]`, "null")
	}
	send(w, "", chunk, `[{"index":0,"delta":{},"finish_reason":"stop"}]`, "null")
	if a.StreamOptions.IncludeUsage {
		send(w, "", chunk, "[]", usage)
	}
	send(w, "", "[DONE]")
}

func (v *vendor) responses(w http.ResponseWriter, r *http.Request) {
	a := readAsked(w, r)
	response := fmt.Sprintf(`{"id":"r","object":"response","status":"completed","model":"m","output":[],`+
		`"usage":{"input_tokens":%d,"input_tokens_details":{"cached_tokens":%d},"output_tokens":%d,`+
		`"total_tokens":%d}}`, v.input, v.cached, v.output, v.input+v.output)
	if !a.Stream {
		sendJSON(w, "%s", response)
		return
	}
	w.Header().Set("Content-Type", "text/event-stream")
	for i := range v.output {
		send(w, "response.output_text.delta",
			`{"type":"response.output_text.delta","sequence_number":%d,"delta":"a"}`, i)
	}
	send(w, "response.completed", `{"type":"response.completed","response":%s}`, response)
}

func (v *vendor) messages(w http.ResponseWriter, r *http.Request) {
	a := readAsked(w, r)
	const message = `{"id":"m","type":"message","role":"assistant","model":"m","content":[],"stop_reason":%s,` +
		`"usage":{"input_tokens":%d,"cache_read_input_tokens":%d,"cache_creation_input_tokens":0,"output_tokens":%d}}`
	if !a.Stream {
		sendJSON(w, message, `"end_turn"`, v.input-v.cached, v.cached, v.output)
		return
	}
	w.Header().Set("Content-Type", "text/event-stream")
	send(w, "message_start", `{"type":"message_start","message":`+message+"}", "null", v.input-v.cached, v.cached, 1)
	send(w, "content_block_start",
		`{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}`)
	for range v.output {
		send(w, "content_block_delta",
			`{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"a"}}`)
	}
	send(w, "content_block_stop", `{"type":"content_block_stop","index":0}`)
	send(w, "message_delta", `{"type":"message_delta","delta":{"stop_reason":"end_turn"},`+
		`"usage":{"output_tokens":%d}}`, v.output)
	send(w, "message_stop", `{"type":"message_stop"}`)
}

// equalCharges compares the basis and the tokens of charges.
func equalCharges(t *testing.T, want int64, charges []tokenbudget.Charge, n int) {
	t.Helper()
	assert.Len(t, charges, n)
	for _, c := range charges {
		assert.Equal(t, tokenbudget.ByUsage, c.Basis)
		assert.Equal(t, want, c.Tokens)
	}
}
