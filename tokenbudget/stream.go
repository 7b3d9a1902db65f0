package tokenbudget

import (
	"bytes"
	"encoding/json"
	"errors"
)

// maxEvent is how many bytes of an event of a stream are kept. Of a longer event, such as the last
// one with an image, only the usage is read.
const maxEvent = 1 << 20

// seen is what a reader has seen of a response.
type seen struct {
	counted  counted
	complete bool  // the response came to its end
	final    bool  // no other usage will come
	stale    bool  // output came after the last usage
	text     int64 // bytes of output
	events   int64 // that had output: each is a token at least
	err      error // the first thing that could not be read
}

func (s *seen) failed(err error) {
	if s.err == nil {
		s.err = err
	}
}

// reader reads a response as it passes.
type reader interface {
	feed(p []byte)
	end() *seen
}

var dataName = []byte("data:")

// stream reads server-sent events, as the HTML standard describes them (section 9.2).
type stream struct {
	seen

	line, data []byte
	long       *plain // reads an event that is longer than maxEvent
	afterCR    bool   // a line feed belongs to the last line
}

func (s *stream) feed(p []byte) {
	for len(p) > 0 {
		if s.afterCR {
			s.afterCR = false
			if p[0] == '\n' {
				p = p[1:]
				continue
			}
		}
		end := bytes.IndexAny(p, "\r\n")
		if end < 0 {
			s.keep(p)
			return
		}
		s.keep(p[:end])
		s.endLine()
		s.afterCR = p[end] == '\r'
		p = p[end+1:]
	}
}

// keep adds p to the line.
func (s *stream) keep(p []byte) {
	if s.long == nil && len(s.line)+len(s.data)+len(p) > maxEvent {
		n := min(max(len(dataName)-len(s.line), 0), len(p))
		value, isData := bytes.CutPrefix(append(s.line, p[:n]...), dataName)
		s.long = &plain{event: true, length: int64(len(s.data))}
		s.long.ended = !isData || len(s.data) > 0 // no server breaks an event into such lines
		s.long.feed(value)
		s.line, s.data, p = []byte{'x'}, nil, p[n:] // the line is not empty
	}
	if s.long != nil && len(p) > 0 {
		s.long.feed(p)
		s.line = append(s.line[:0], 'x')
		return
	}
	s.line = append(s.line, p...)
}

func (s *stream) endLine() {
	line := bytes.TrimPrefix(s.line, []byte("\ufeff"))
	s.line = s.line[:0]
	if len(line) == 0 {
		s.endEvent()
		return
	}
	value, ok := bytes.CutPrefix(line, dataName)
	if s.long != nil {
		s.long.ended = true // its only line
		return
	}
	if !ok {
		return
	}
	if len(s.data) > 0 {
		s.data = append(s.data, '\n')
	}
	s.data = append(s.data, bytes.TrimPrefix(value, []byte(" "))...)
}

func (s *stream) endEvent() {
	switch {
	case s.long != nil:
		s.endLong(s.long.end())
	case len(s.data) > 0:
		s.event(s.data)
	}
	s.data, s.long = s.data[:0], nil
}

// endLong notes an event that is longer than maxEvent. Only a last event is so long and has a
// usage. Of any other event, all bytes count as output.
func (s *stream) endLong(e *seen) {
	if e.final {
		s.counted.raise(e.counted)
		s.final, s.stale = true, false
		return
	}
	s.text += e.text
	s.wrote()
	s.failed(errors.New("an event is longer than 1 MiB"))
}

func (s *stream) end() *seen {
	if len(s.line) > 0 {
		s.endLine()
	}
	s.endEvent()
	return &s.seen
}

// streamed are the fields of an event: of OpenAI's chat completions (choices), of its responses
// (response, delta), and of Anthropic's messages (message, delta).
type streamed struct {
	Type    string          `json:"type"`
	Usage   json.RawMessage `json:"usage"`
	Delta   json.RawMessage `json:"delta"`
	Choices *[]struct {
		Delta json.RawMessage `json:"delta"`
		Text  json.RawMessage `json:"text"`
	} `json:"choices"`
	Message struct {
		Usage json.RawMessage `json:"usage"`
	} `json:"message"`
	Response struct {
		Usage json.RawMessage `json:"usage"`
	} `json:"response"`
}

func (s *stream) event(data []byte) {
	if string(bytes.TrimSpace(data)) == "[DONE]" {
		s.ended()
		return
	}
	var e streamed
	err := json.Unmarshal(data, &e)
	var other *json.UnmarshalTypeError // a field that another event uses otherwise
	if err != nil && !errors.As(err, &other) {
		s.text += int64(len(data))
		s.failed(errors.New("an event is malformed JSON"))
		return
	}
	before := s.text
	stopped := s.output(e.Delta)
	if e.Choices != nil {
		for _, c := range *e.Choices {
			s.output(c.Delta)
			s.output(c.Text)
		}
	}
	if s.text > before {
		s.wrote()
	}
	found := false
	for _, usage := range []json.RawMessage{e.Usage, e.Message.Usage, e.Response.Usage} {
		ok, err := s.counted.add(usage)
		if err != nil {
			s.failed(err)
		}
		found = found || ok
	}
	s.stale = s.stale && !found
	switch e.Type {
	case "message_stop":
		s.ended()
	case "message_delta":
		s.final = s.final || found && stopped
	case "response.completed", "response.incomplete", "response.failed",
		"image_generation.completed", "image_edit.completed", "transcript.text.done", "speech.audio.done":
		s.final = s.final || found
	case "":
		s.final = s.final || found && e.Choices != nil && len(*e.Choices) == 0
	}
}

// wrote notes an event that had output: a usage before it is not the last one.
func (s *stream) wrote() {
	s.events++
	s.final, s.stale = false, true
}

// ended notes the last event. The stream may have told the usage of its first tokens only. A usage
// of zeros is right if no output came.
func (s *stream) ended() {
	s.complete = true
	s.final = !s.stale && (s.counted.known || s.counted.zeros)
}

// output counts the texts in a delta. It reports whether the delta says why the output stops.
func (s *stream) output(delta json.RawMessage) (stopped bool) {
	if len(delta) == 0 {
		return false
	}
	var v any
	if json.Unmarshal(delta, &v) != nil {
		return false
	}
	if m, ok := v.(map[string]any); ok {
		stopped = m["stop_reason"] != nil
	}
	s.text += textBytes(v)
	return stopped
}

// textBytes returns the length of all texts in v that a model can have written.
func textBytes(v any) (n int64) {
	switch v := v.(type) {
	case string:
		return int64(len(v))
	case []any:
		for _, e := range v {
			n += textBytes(e)
		}
	case map[string]any:
		for name, e := range v {
			switch name {
			case "type", "role", "id", "stop_reason", "stop_sequence", "finish_reason":
			default:
				n += textBytes(e)
			}
		}
	}
	return n
}
