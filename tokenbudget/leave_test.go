package tokenbudget_test

import (
	"bufio"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit/tokenbudget"
)

// TestAClientThatLeaves reads two of many chunks of a real server and leaves.
func TestAClientThatLeaves(t *testing.T) {
	tests := map[string]struct {
		first, chunk string
		want         int64
	}{
		"OpenAI": {`{"choices":[]}`, `{"choices":[{"delta":{"role":"assistant","content":"123456789"}}]}`, 7 + 2*3},
		"Anthropic": {
			`{"type":"message_start","message":{"usage":{"input_tokens":20,"output_tokens":1}}}`,
			`{"type":"content_block_delta","delta":{"type":"text_delta","text":"123456789"}}`, 20 + 2*3,
		},
		"a proxy that tells the prompt at the end": {
			`{"type":"message_start","message":{"usage":{"input_tokens":0,"output_tokens":0}}}`,
			`{"type":"content_block_delta","delta":{"type":"text_delta","text":"123456789"}}`, 7 + 2*3,
		},
		"output is counted before the prompt": {
			`{"choices":[],"usage":{"prompt_tokens":0,"completion_tokens":1}}`,
			`{"choices":[{"delta":{"content":"123456789"}}]}`, 7 + 2*3,
		},
		"a usage before the output": {
			`{"choices":[],"usage":{"prompt_tokens":20,"completion_tokens":1}}`,
			`{"choices":[{"delta":{"content":"123456789"}}]}`, 20 + 2*3,
		},
		"short chunks": {`{"choices":[]}`, `{"choices":[{"delta":{"content":"1"}}]}`, 7 + 2},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			cfg := single("1000 per minute")
			got := make(chan tokenbudget.Charge, 1)
			cfg.Settled = func(_ *http.Request, c tokenbudget.Charge) { got <- c }
			g := newGuard(t, cfg)
			server := httptest.NewServer(g.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Content-Type", asStream)
				_, _ = io.WriteString(w, events(test.first, test.chunk, test.chunk))
				assert.NoError(t, http.NewResponseController(w).Flush())
				<-r.Context().Done()
			})))
			defer server.Close()
			ctx, leave := context.WithCancel(t.Context())
			body := strings.NewReader(`{"max_tokens":500}  `) // 20 bytes, 7 tokens
			r, _ := http.NewRequestWithContext(ctx, http.MethodPost, server.URL, body)
			r.Header.Set("X-User", "a")
			resp, err := http.DefaultClient.Do(r)
			require.NoError(t, err)
			line, err := bufio.NewReader(resp.Body).ReadString('\n')
			require.NoError(t, err, "the first chunk comes at once")
			assert.Equal(t, "data: "+test.first+"\n", line)
			leave()
			c := <-got
			_ = resp.Body.Close()
			assert.Equal(t, tokenbudget.ByBytes, c.Basis)
			assert.Equal(t, test.want, c.Tokens)
			assert.Equal(t, 2000-test.want, level(t, g, "user per 1m0s", "a"))
		})
	}
}

// TestAClientThatLeavesBeforeTheAnswer leaves before any output was sent. The model may have
// written all of it, so the reservation of 100 tokens is kept, for every answer that follows.
func TestAClientThatLeavesBeforeTheAnswer(t *testing.T) {
	handlers := map[string]func(w http.ResponseWriter){
		"nothing": func(http.ResponseWriter) {},
		"an error": func(w http.ResponseWriter) {
			w.Header().Set("Content-Type", asJSON)
			w.WriteHeader(http.StatusServiceUnavailable)
			_, _ = io.WriteString(w, `{"error":"context canceled"}`)
		},
		"an error without a body": func(w http.ResponseWriter) { w.WriteHeader(http.StatusBadGateway) },
		"a stream without output": func(w http.ResponseWriter) {
			w.Header().Set("Content-Type", asStream)
			_, _ = io.WriteString(w, events(`{"choices":[{"delta":{"role":"assistant","content":""}}]}`))
		},
		"a part of an answer": func(w http.ResponseWriter) {
			w.Header().Set("Content-Type", asJSON)
			_, _ = io.WriteString(w, `{"choices":[{"message":{"content":"Hel`)
		},
	}
	for name, answer := range handlers {
		t.Run(name, func(t *testing.T) {
			cfg := single("1000 per minute")
			got := make(chan tokenbudget.Charge, 1)
			cfg.Settled = func(_ *http.Request, c tokenbudget.Charge) { got <- c }
			g := newGuard(t, cfg)
			ctx, leave := context.WithCancel(t.Context())
			server := httptest.NewServer(g.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				leave()
				<-r.Context().Done()
				answer(w)
			})))
			defer server.Close()
			body := strings.NewReader(`{"max_tokens":93}   `) // 20 bytes, 7 tokens
			r, err := http.NewRequestWithContext(ctx, http.MethodPost, server.URL, body)
			require.NoError(t, err)
			r.Header.Set("X-User", "a")
			_, err = http.DefaultClient.Do(r)
			require.ErrorIs(t, err, context.Canceled)
			c := <-got
			assert.Equal(t, tokenbudget.ByReservation, c.Basis)
			assert.Equal(t, int64(100), c.Tokens)
			assert.Equal(t, int64(1900), level(t, g, "user per 1m0s", "a"))
		})
	}
}
