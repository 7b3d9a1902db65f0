package accesslog

import (
	"strings"
	"time"
)

// header is the tree of an object whose members are header fields.
var header = &jsonTree{other: addHeader}

// caddyTree is the log of Caddy 2.5 and later. It is written when the request has ended.
var caddyTree = &jsonTree{
	need: []string{"ts", "request.uri"},
	fields: map[string]setter{
		"ts": endAt(parseTime), "duration": lasting(time.Second), "status": setStatus, "size": setBytes,
		"user_id": text(userOf),
	},
	inner: map[string]*jsonTree{"request": {
		fields: map[string]setter{
			"remote_ip": text(peerOf), "remote_addr": first(peerOf), "client_ip": text(clientOf),
			"method": text(methodOf), "uri": text(targetOf), "host": text(hostOf), "proto": text(protoOf),
		},
		inner: map[string]*jsonTree{"headers": header},
	}},
}

// traefikTree is the log of Traefik with the format json.
var traefikTree = &jsonTree{
	need: []string{"StartUTC", "RequestPath"},
	fields: map[string]setter{
		"StartUTC": startAt(parseTime), "Duration": lasting(time.Nanosecond),
		"ClientHost": text(clientOf), "ClientAddr": first(clientOf), "ClientUsername": text(userOf),
		"RequestMethod": text(methodOf), "RequestPath": text(targetOf), "RequestProtocol": text(protoOf),
		"RequestHost": first(hostOf), "RequestAddr": text(hostOf),
		"DownstreamStatus": setStatus, "DownstreamContentSize": setBytes,
	},
	other: func(r *raw, name, value string) error {
		if field, ok := strings.CutPrefix(name, "request_"); ok && field != "" {
			return addHeader(r, field, value)
		}
		return nil
	},
}

// envoyTree is the log of Envoy in JSON, with the names of its documentation, of Istio or of Envoy
// Gateway.
var envoyTree = &jsonTree{
	need:     []string{"start_time", "response_code"},
	anywhere: true,
	fields: map[string]setter{
		"start_time": startAt(parseTime), "duration": lasting(time.Millisecond),
		"downstream_remote_address": text(clientOf), "downstream_direct_remote_address": text(peerOf),
		"x_forwarded_for": headerField("X-Forwarded-For"), "user_agent": headerField("User-Agent"),
		"method": text(methodOf), ":method": text(methodOf), "x_envoy_origin_path": text(targetOf),
		"x_envoy_original_path": text(targetOf), "path": first(targetOf), ":path": first(targetOf),
		"protocol": text(protoOf), "authority": text(hostOf), ":authority": text(hostOf),
		"response_code": setStatus, "bytes_sent": setBytes,
	},
}

// nginxTree is the log of nginx with a log_format in JSON. The names are not fixed. These are the
// variables, and the names that are usual.
var nginxTree = &jsonTree{
	anywhere: true,
	fields: map[string]setter{
		"time": endAt(parseTime), "timestamp": endAt(parseTime), "@timestamp": endAt(parseTime),
		"time_local": endAt(parseTime), "time_iso8601": endAt(parseTime), "msec": endAt(parseTime),
		"ts":          endAt(parseTime),
		"remote_addr": text(clientOf), "remote_ip": first(clientOf), "client_ip": first(clientOf),
		"client":   first(clientOf),
		"clientip": first(clientOf), "remote_user": text(userOf), "user": first(userOf),
		"request": text(requestOf), "request_method": text(methodOf), "method": first(methodOf),
		"request_uri": text(targetOf), "uri": path, "url": first(targetOf),
		"path": first(targetOf),
		"args": text(argsOf), "query_string": text(argsOf), "query": text(argsOf),
		"server_protocol": text(protoOf), "host": text(hostOf), "http_host": first(hostOf),
		"server_name": first(hostOf),
		"vhost":       first(hostOf), "status": setStatus, "response": setStatus, "response_code": setStatus,
		"body_bytes_sent": setBytes, "bytes": setBytes, "size": setBytes,
		"request_time": lasting(time.Second), "duration": lasting(time.Second),
		"user_agent": headerField("User-Agent"), "agent": headerField("User-Agent"),
		"referer": headerField("Referer"), "referrer": headerField("Referer"),
		"x_forwarded_for": headerField("X-Forwarded-For"),
	},
	other: func(r *raw, name, value string) error {
		if field, ok := strings.CutPrefix(name, "http_"); ok && field != "" {
			return addHeader(r, strings.ReplaceAll(field, "_", "-"), value)
		}
		return nil
	},
}

// slogTree is a log that a service writes with log/slog and its JSONHandler, one record for each
// request when it has ended. A duration is in nanoseconds, as slog writes a time.Duration, unless
// its name has a unit.
var slogTree = &jsonTree{
	need:     []string{"time", "level", "msg"},
	anywhere: true,
	fields: map[string]setter{
		"time": endAt(parseTime), "start": startAt(parseTime), "start_time": startAt(parseTime),
		"method": text(methodOf), "request_method": text(methodOf), "http_method": text(methodOf),
		"uri": text(targetOf), "request_uri": text(targetOf), "target": text(targetOf),
		"url":  first(targetOf),
		"path": first(targetOf), "http_path": first(targetOf), "url_path": first(targetOf),
		"query": text(argsOf), "query_string": text(argsOf), "proto": text(protoOf),
		"protocol": text(protoOf),
		"host":     text(hostOf), "status": setStatus, "status_code": setStatus, "response_status": setStatus,
		"code": setStatus, "bytes": setBytes, "size": setBytes, "response_bytes": setBytes,
		"client_ip": text(clientOf), "client_addr": first(clientOf), "client": first(clientOf),
		"remote_ip":   first(clientOf),
		"remote_addr": first(clientOf), "remote": first(clientOf), "ip": first(clientOf),
		"addr": first(clientOf),
		"user": text(userOf), "user_id": first(userOf), "username": first(userOf), "user_name": first(userOf),
		"user_agent": headerField("User-Agent"), "referer": headerField("Referer"),
		"x_forwarded_for": headerField("X-Forwarded-For"),
		"duration":        lasting(time.Nanosecond), "elapsed": lasting(time.Nanosecond),
		"latency": lasting(time.Nanosecond),
		"took":    lasting(time.Nanosecond), "duration_ms": lasting(time.Millisecond),
		"elapsed_ms": lasting(time.Millisecond),
		"latency_ms": lasting(time.Millisecond), "duration_seconds": lasting(time.Second),
		"duration_s": lasting(time.Second),
	},
}
