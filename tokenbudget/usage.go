package tokenbudget

import (
	"encoding/json"
	"errors"
	"math"
)

// Usage is how many tokens a response says that the request used.
type Usage struct {
	// Input are the tokens of the prompt that were not read from a cache or written to it.
	Input int64
	// CacheRead are the tokens of the prompt that were read from a cache.
	CacheRead int64
	// CacheWrite are the tokens of the prompt that were written to a cache.
	CacheWrite int64
	// Output are the tokens of the output.
	Output int64
}

// counted are the usages in a response so far. The usages of a stream are totals, so the largest
// number of each field counts.
type counted struct {
	known bool
	zeros bool  // a usage had nothing but zeros, so it does not make c known
	input int64 // with cached, without read and write
	// cached and written are parts of input for OpenAI. For Anthropic, read and write come on top.
	// Gateways that turn one form into the other, such as LiteLLM, tell the same tokens as both.
	cached, written, read, write, output int64
}

// usageFields are the fields of a usage: of OpenAI's chat completions, of its responses, and of
// Anthropic's messages. Embeddings and rankings of some vendors have a total only.
type usageFields struct {
	Prompt        *float64 `json:"prompt_tokens"`
	Completion    *float64 `json:"completion_tokens"`
	PromptDetails details  `json:"prompt_tokens_details"`
	Input         *float64 `json:"input_tokens"`
	Output        *float64 `json:"output_tokens"`
	InputDetails  details  `json:"input_tokens_details"`
	CacheRead     float64  `json:"cache_read_input_tokens"`
	CacheWrite    float64  `json:"cache_creation_input_tokens"`
	Total         *float64 `json:"total_tokens"`

	// Iterations are the calls of models that an answer of Anthropic took. Compactions and advisors
	// are not in the numbers above.
	Iterations []struct {
		Input      float64 `json:"input_tokens"`
		Output     float64 `json:"output_tokens"`
		CacheRead  float64 `json:"cache_read_input_tokens"`
		CacheWrite float64 `json:"cache_creation_input_tokens"`
	} `json:"iterations"`
}

// iterated returns the sums of all iterations.
func (f *usageFields) iterated() (sum counted) {
	var in, out, read, write float64
	for _, i := range f.Iterations {
		in, out = in+max(i.Input, 0), out+max(i.Output, 0)
		read, write = read+max(i.CacheRead, 0), write+max(i.CacheWrite, 0)
	}
	return counted{
		input: tokenCount(&in), output: tokenCount(&out), read: tokenCount(&read), write: tokenCount(&write),
	}
}

// details are parts of a prompt. OpenRouter tells what was written to a cache, and so does LiteLLM.
type details struct {
	Cached  float64 `json:"cached_tokens"`
	Written float64 `json:"cache_write_tokens"`
	Created float64 `json:"cache_creation_tokens"`
}

var errUsage = errors.New("its usage cannot be read")

// add raises c to the usage in data. It reports whether data has one. Zeros only are none: a server
// sends them if it does not count, or not yet.
func (c *counted) add(data json.RawMessage) (bool, error) {
	if len(data) == 0 || string(data) == "null" {
		return false, nil
	}
	var f usageFields
	if err := json.Unmarshal(data, &f); err != nil {
		return false, errUsage
	}
	if f.Prompt == nil && f.Completion == nil && f.Input == nil && f.Output == nil {
		if f.Total == nil {
			return false, nil
		}
		f.Input = f.Total
	}
	one := counted{
		known: true,
		input: max(tokenCount(f.Prompt), tokenCount(f.Input)),
		read:  tokenCount(&f.CacheRead), write: tokenCount(&f.CacheWrite),
		output: max(tokenCount(f.Completion), tokenCount(f.Output)),
	}
	for _, d := range []details{f.PromptDetails, f.InputDetails} {
		one.cached = max(one.cached, tokenCount(&d.Cached))
		one.written = max(one.written, tokenCount(&d.Written), tokenCount(&d.Created))
	}
	one.raise(f.iterated())
	if one == (counted{known: true}) { // as LocalAI sends it in each chunk of a stream
		c.zeros = true
		return false, nil
	}
	c.raise(one)
	return true, nil
}

// raise raises each number of c to the number of other.
func (c *counted) raise(other counted) {
	c.known = c.known || other.known
	c.input, c.output = max(c.input, other.input), max(c.output, other.output)
	c.cached, c.written = max(c.cached, other.cached), max(c.written, other.written)
	c.read, c.write = max(c.read, other.read), max(c.write, other.write)
}

func (c *counted) usage() Usage {
	cached := min(c.cached, c.input)
	written := min(c.written, c.input-cached)
	return Usage{
		Input: c.input - cached - written, Output: c.output,
		CacheRead: max(cached, c.read), CacheWrite: max(written, c.write),
	}
}

// tokenCount returns the number in a field within its bounds, rounded up.
func tokenCount(f *float64) int64 {
	if f == nil {
		return 0
	}
	return int64(math.Ceil(min(max(*f, 0), mostTokens/2)))
}

// cost returns what u costs, rounded up.
func (g *Guard) cost(u Usage) int64 {
	cached := float64(u.CacheRead)*g.cfg.CacheRead + float64(u.CacheWrite)*g.cfg.CacheWrite
	return u.Input + u.Output + int64(math.Ceil(cached))
}
