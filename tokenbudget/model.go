package tokenbudget

import (
	"bytes"
	"encoding/json"
	"errors"
	"regexp"
	"strings"
)

// readModel sets the model. If the request has two, it is not known which one counts.
func (a *asked) readModel(value json.RawMessage) error {
	var model string
	if err := json.Unmarshal(value, &model); err != nil || len(model) > 256 {
		return errors.New("model: want a text of at most 256 bytes")
	}
	if a.model != "" && a.model != model {
		return errors.New("model: it is there twice")
	}
	a.model = model
	return nil
}

// inPath finds the model in paths of Azure and of LiteLLM, whose names of models can have slashes.
var inPath = regexp.MustCompile(`(?i)/(?:deployments|engines)/(.+?)` +
	`(?:/(?:chat|completions|embeddings|extensions|images|audio|responses)(?:/.*)?)?$`)

// otherModel reports whether a path names another model than the body. Azure and LiteLLM then take
// the model of the path. A version there is no model: Docker has /engines/llama.cpp/v1/.
func otherModel(path, model string) bool {
	found := inPath.FindStringSubmatch(path)
	return found != nil && !strings.EqualFold(found[1], model) && !strings.HasSuffix("/"+found[1], "/v1")
}

// hasModel reports whether one of the tools of a request has a model of its own, such as an advisor
// of Anthropic or OpenRouter. In a function, the names of parameters are nested deeper.
func hasModel(tools json.RawMessage) bool {
	d := json.NewDecoder(bytes.NewReader(tools)) // a slice would be many times as long as tools
	if start, err := d.Token(); err != nil || start != json.Delim('[') {
		return false
	}
	for d.More() {
		var tool struct {
			Model      string `json:"model"`
			Parameters struct {
				Model string `json:"model"`
			} `json:"parameters"`
		}
		var other *json.UnmarshalTypeError // after which the decoder goes on
		if err := d.Decode(&tool); err != nil && !errors.As(err, &other) {
			return true
		}
		if tool.Model != "" || tool.Parameters.Model != "" {
			return true
		}
	}
	return false
}
