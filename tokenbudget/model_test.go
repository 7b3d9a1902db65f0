package tokenbudget_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit/tokenbudget"
)

// TestModelInThePath has paths of vendors that ignore the model in the body.
func TestModelInThePath(t *testing.T) {
	for path, known := range map[string]bool{
		"/v1/chat/completions":                       true,
		"/openai/deployments/small/chat/completions": true,
		"/openai/deployments/SMALL/embeddings":       true,
		"/openai/deployments/small/audio/speech":     true,
		"/engines/small/completions":                 true,
		"/engines/v1/chat/completions":               true, // of Docker
		"/engines/llama.cpp/v1/chat/completions":     true,
		"/openai/deployments/large/chat/completions": false,
		"/OpenAI/Deployments/large/chat/completions": false,
		"/engines/large/completions":                 false,
		"/engines/small/large/chat/completions":      false, // LiteLLM reads small/large
		"/openai/deployments/small/rerank":           false, // no method that is known
		"/openai/deployments/large/small/chat":       false,
	} {
		cfg := single("1000 per minute")
		var got tokenbudget.Charge
		cfg.Settled = func(_ *http.Request, c tokenbudget.Charge) { got = c }
		r := ask(`{"model":"small","max_tokens":10}`, "a")
		r.URL.Path = path
		require.Equal(t, 200, call(newGuard(t, cfg).Handler(answering(200, asJSON, usage(90))), r).Code)
		assert.Equal(t, known, got.Model == "small", path)
	}
}
