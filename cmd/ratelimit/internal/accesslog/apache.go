package accesslog

import (
	"fmt"
	"strings"
	"time"
)

func errFormat(what string) error { return fmt.Errorf("the format has %s", what) }

// apacheFields are the directives of Apache's LogFormat that matter here. All other directives are
// read over.
var apacheFields = map[byte]setter{
	'a': text(clientOf),
	'h': first(clientOf),
	'u': text(userOf),
	'r': text(requestOf),
	'm': text(methodOf),
	'U': path,
	'q': func(r *raw, s string) error { r.args = strings.TrimPrefix(s, "?"); return nil },
	'H': text(protoOf),
	'v': text(hostOf),
	'V': text(hostOf),
	's': setStatus,
	'B': setBytes,
	'b': setBytes,
	'D': lasting(time.Microsecond),
	'T': lasting(time.Second),
}

// apacheField returns the setter of a directive with an argument, such as %{User-Agent}i.
func apacheField(argument string, directive byte) (setter, error) {
	switch directive {
	case 't':
		return apacheTime(argument)
	case 'i':
		if strings.EqualFold(argument, "Host") {
			return text(hostOf), nil
		}
		return headerField(argument), nil
	case 'T':
		unit, ok := map[string]time.Duration{
			"": time.Second, "s": time.Second, "ms": time.Millisecond, "us": time.Microsecond,
		}[argument]
		if !ok {
			return nil, errFormat(fmt.Sprintf("the unit %s: want s, ms or us", quote(argument)))
		}
		return lasting(unit), nil
	case 'a':
		if argument == "c" {
			return text(peerOf), nil
		}
	}
	if set := apacheFields[directive]; set != nil && argument == "" {
		return set, nil
	}
	return ignore, nil
}

// apacheTime returns the setter of %t with an argument. Apache writes when the request began,
// except with "end:".
func apacheTime(argument string) (setter, error) {
	at := startAt
	if rest, ok := strings.CutPrefix(argument, "end:"); ok {
		at, argument = endAt, rest
	} else {
		argument = strings.TrimPrefix(argument, "begin:")
	}
	switch argument {
	case "", "%d/%b/%Y:%H:%M:%S %z":
		return at(parseCLF), nil
	case "sec", "msec", "usec", "%Y-%m-%dT%H:%M:%S%z", "%FT%T%z":
		return at(parseTime), nil
	}
	return nil, errFormat(fmt.Sprintf("the time %s: want %%t, or %%{sec}t, %%{msec}t or %%{usec}t",
		quote(argument)))
}

// compileApache reads a format in the notation of Apache's LogFormat.
func compileApache(format string) (*template, error) {
	t := new(template)
	text := ""
	for format != "" {
		before, rest, found := strings.Cut(format, "%")
		text += before
		if !found {
			return t, addLast(t, text)
		}
		if strings.HasPrefix(rest, "%") {
			text, format = text+"%", rest[1:]
			continue
		}
		argument, directive, rest, err := apacheDirective(rest)
		if err != nil {
			return nil, err
		}
		set, err := apacheField(argument, directive)
		if err != nil {
			return nil, err
		}
		name, closing := "%"+string(directive), ""
		if directive == 't' && argument == "" {
			text, closing = text+"[", "]"
		}
		if err := t.add(text, name, set); err != nil {
			return nil, err
		}
		text, format = closing, rest
	}
	if text != "" {
		return t, addLast(t, text)
	}
	return t, t.compile()
}

// apacheDirective splits what follows a percent sign, such as ">s" or "!200,304{Referer}i".
func apacheDirective(s string) (argument string, directive byte, rest string, err error) {
	s = strings.TrimLeft(s, "!,0123456789<>")
	if strings.HasPrefix(s, "{") {
		var found bool
		if argument, s, found = strings.Cut(s[1:], "}"); !found {
			return "", 0, "", errFormat("%{ without }")
		}
	}
	if strings.HasPrefix(s, "^") && len(s) > 2 { // the trailers ^ti and ^to
		return argument, '^', s[3:], nil
	}
	if s == "" || !isToken(s[:1]) {
		return "", 0, "", errFormat("% without a directive")
	}
	return argument, s[0], s[1:], nil
}
