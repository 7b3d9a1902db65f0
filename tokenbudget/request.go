package tokenbudget

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// asked is what a request asks for.
type asked struct {
	model  string // "" if it is not known
	prompt int64  // estimated tokens
	output int64  // at most, in tokens
}

func (a *asked) total() int64 { return max(min(a.prompt+a.output, mostTokens), 1) }

// readBody reads the body of r, up to MaxBody.
func (g *Guard) readBody(w http.ResponseWriter, r *http.Request) ([]byte, *problem) {
	encoding := strings.TrimSpace(strings.Join(r.Header.Values("Content-Encoding"), ","))
	if encoding != "" && !strings.EqualFold(encoding, "identity") {
		return nil, &problem{
			status: http.StatusUnsupportedMediaType,
			text:   "Send the request body without a Content-Encoding.",
		}
	}
	if r.Body == nil {
		return nil, nil
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, g.cfg.MaxBody))
	var long *http.MaxBytesError
	switch {
	case errors.As(err, &long):
		return nil, &problem{
			status: http.StatusRequestEntityTooLarge,
			text:   fmt.Sprintf("The request body is longer than %d bytes.", g.cfg.MaxBody),
		}
	case err != nil:
		return nil, &problem{status: http.StatusBadRequest, text: "The request body cannot be read."}
	}
	return body, nil
}

// newBody returns a body that the handler can read.
func newBody(body []byte) io.ReadCloser {
	if len(body) == 0 {
		return http.NoBody
	}
	return io.NopCloser(bytes.NewReader(body))
}

// read returns what r asks for.
func (g *Guard) read(r *http.Request, body []byte) asked {
	a, choices, prompts, inText := asked{output: -1}, int64(1), int64(1), int64(0)
	others := false
	err := eachField(body, func(name string, value json.RawMessage) error {
		is := func(names ...string) bool { // as encoding/json compares names, which a handler may use
			return slices.ContainsFunc(names, func(n string) bool { return strings.EqualFold(n, name) })
		}
		switch {
		case is("model"):
			return a.readModel(value)
		case is("max_tokens", "max_completion_tokens", "max_output_tokens"):
			return most(value, &a.output, &inText)
		case is("n", "best_of"):
			return most(value, &choices, &choices)
		case is("models", "fallbacks", "advisor"):
			others = others || string(value) != "null"
		case is("tools"):
			others = others || hasModel(value)
		case is("prompt"):
			prompts = max(prompts, promptsIn(value))
		}
		return nil
	})
	if err != nil || others || otherModel(r.URL.Path, a.model) {
		a.model = "" // others: they are tried if the first one fails, or they advise it
	}
	if err != nil {
		g.reporter.Report(r.Context(), fmt.Errorf("tokenbudget: request body: %w", err))
	}
	if a.output < 0 {
		a.output = g.cfg.Output
	}
	a.output = max(a.output, inText)
	a.output = min(a.output*choices, mostTokens)
	a.output = min(a.output*prompts, mostTokens)
	a.prompt = g.prompt(r, body)
	return a
}

// most raises n to the number in value, and inText to a number that is a text. A handler may deny
// such a text, or take it for the number, as vLLM does. Other values are for the handler to deny.
func most(value json.RawMessage, n, inText *int64) error {
	var f *float64
	if err := json.Unmarshal(value, &f); err == nil {
		raise(n, f)
		return nil
	}
	var text string
	if json.Unmarshal(value, &text) == nil {
		text = strings.ReplaceAll(strings.TrimSpace(text), "_", "")
		if number, err := strconv.ParseFloat(text, 64); err == nil {
			raise(inText, &number)
		}
	}
	return errors.New("a number of tokens or choices is no number")
}

func raise(n *int64, f *float64) {
	if f != nil && *f >= 0 {
		*n = max(*n, int64(min(*f, mostTokens>>1)))
	}
}

// promptsIn returns how many prompts are in the value of prompt: a list of texts, or of lists of
// tokens, has one answer for each. A list of numbers is one prompt.
func promptsIn(value json.RawMessage) int64 {
	d := json.NewDecoder(bytes.NewReader(value)) // a slice would be many times as long as value
	if start, err := d.Token(); err != nil || start != json.Delim('[') {
		return 1
	}
	n := int64(0)
	for d.More() {
		var one json.RawMessage
		if d.Decode(&one) != nil || n == 0 && one[0] != '"' && one[0] != '[' {
			break
		}
		n++
	}
	return max(n, 1)
}

// prompt returns the estimated tokens of a prompt.
func (g *Guard) prompt(r *http.Request, body []byte) int64 {
	estimate := g.tokens(int64(len(body)))
	if g.cfg.Prompt == nil {
		return estimate
	}
	own := int64(-1)
	g.reporter.Call(r.Context(), "Prompt", func() error {
		if own = g.cfg.Prompt(r, body); own < 0 {
			return fmt.Errorf("%d: want no negative number", own)
		}
		return nil
	})
	if own < 0 {
		return estimate
	}
	return min(own, mostTokens)
}

// tokens returns the estimated tokens of so many bytes.
func (g *Guard) tokens(n int64) int64 {
	per := int64(g.cfg.BytesPerToken)
	return (n + per - 1) / per
}

// eachField calls f for each field of the JSON object in body. It returns the first error, after it
// has called f for all fields that can be read.
func eachField(body []byte, f func(name string, value json.RawMessage) error) error {
	d := json.NewDecoder(bytes.NewReader(body))
	start, err := d.Token()
	if err != nil || start != json.Delim('{') {
		return errors.New("want a JSON object")
	}
	var first error
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return errors.New("it is malformed JSON")
		}
		var value json.RawMessage
		if err := d.Decode(&value); err != nil {
			return errors.New("it is malformed JSON")
		}
		text, _ := name.(string) // the decoder has checked it
		if err := f(text, value); err != nil && first == nil {
			first = err
		}
	}
	if _, err := d.Token(); err != nil {
		return errors.New("it is malformed JSON")
	}
	return first
}
