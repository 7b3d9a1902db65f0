package tokenbudget_test

import (
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/ratelimit-go/ratelimit"
	"github.com/ratelimit-go/ratelimit/tokenbudget"
)

// The first call reserves 206 tokens: 6 for its body, and 200 for the output. The model uses 130,
// so the second call finds 870 left.
func Example() {
	model := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprint(w, `{"choices":[],"usage":{"prompt_tokens":5,"completion_tokens":125}}`)
	})
	guard, err := tokenbudget.New(tokenbudget.Config{
		Budgets: []tokenbudget.Budget{{
			Name:   "key",
			Limits: ratelimit.MustParse("1000 per day"),
			Key:    ratelimit.ByHeader("X-Api-Key"), // checked by an outer handler
		}},
		Settled: func(_ *http.Request, c tokenbudget.Charge) {
			fmt.Println("reserved", c.Reserved, "charged", c.Tokens, "by", c.Basis)
		},
	})
	if err != nil {
		log.Fatal(err)
	}
	server := httptest.NewServer(guard.Handler(model))
	defer server.Close()

	for _, tokens := range []int{200, 5000} {
		body := strings.NewReader(fmt.Sprintf(`{"max_tokens":%d}`, tokens))
		req, err := http.NewRequest(http.MethodPost, server.URL+"/v1/chat/completions", body)
		if err != nil {
			log.Fatal(err)
		}
		req.Header.Set("X-Api-Key", "a")
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			log.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
		fmt.Println(resp.StatusCode, resp.Header.Get("X-Ratelimit-Remaining-Tokens"), "left")
	}
	// Output:
	// reserved 206 charged 130 by usage
	// 200 794 left
	// 429 870 left
}
