package accesslog

import (
	"strings"
	"time"
)

// nginxFields are the variables of nginx that matter here. All other variables are read over. The
// variables with "start", and with a unit at their end, are additions for other servers.
var nginxFields = map[string]setter{
	"remote_addr":     text(clientOf),
	"remote_user":     text(userOf),
	"time_local":      endAt(parseCLF),
	"time_iso8601":    endAt(parseTime),
	"msec":            endAt(parseTime),
	"start_local":     startAt(parseCLF),
	"start_iso8601":   startAt(parseTime),
	"start_msec":      startAt(parseTime),
	"request":         text(requestOf),
	"request_method":  text(methodOf),
	"request_uri":     text(targetOf),
	"uri":             path,
	"args":            text(argsOf),
	"query_string":    text(argsOf),
	"server_protocol": text(protoOf),
	"host":            text(hostOf),
	"http_host":       first(hostOf),
	"server_name":     first(hostOf),
	"status":          setStatus,
	"body_bytes_sent": setBytes,
	"bytes_sent":      ignore,
	"request_time":    lasting(time.Second),
	"request_time_ms": lasting(time.Millisecond),
	"request_time_us": lasting(time.Microsecond),
	"client_port":     setAddrPort, // address:port
	"haproxy_timers":  setTimers,
}

// nginxField returns the setter of a variable.
func nginxField(name string) setter {
	if set := nginxFields[name]; set != nil {
		return set
	}
	if field, ok := strings.CutPrefix(name, "http_"); ok && field != "" {
		return headerField(strings.ReplaceAll(field, "_", "-"))
	}
	return ignore
}

// compileNginx reads a format in the notation of nginx's log_format.
func compileNginx(format string) (*template, error) {
	t := new(template)
	for format != "" {
		text, rest, found := strings.Cut(format, "$")
		if !found {
			return t, addLast(t, text)
		}
		name := ""
		if strings.HasPrefix(rest, "{") {
			name, format, found = strings.Cut(rest[1:], "}")
			if !found {
				return nil, errFormat("${ without }")
			}
		} else {
			n := len(rest) - len(strings.TrimLeft(rest,
				"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_"))
			name, format = rest[:n], rest[n:]
		}
		if name == "" {
			return nil, errFormat("$ without the name of a variable")
		}
		if err := t.add(text, "$"+name, nginxField(name)); err != nil {
			return nil, err
		}
	}
	return t, t.compile()
}

func addLast(t *template, text string) error {
	if err := t.add(text, "", nil); err != nil {
		return err
	}
	return t.compile()
}
