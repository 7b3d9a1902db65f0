package main

import (
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"time"
)

// A hit is a request in a generated log.
type hit struct {
	begin, end             time.Time
	client, method, target string
	status, bytes          int
}

const (
	clf   = "02/Jan/2006:15:04:05 -0700"
	iso   = "2006-01-02T15:04:05.000Z07:00"
	agent = "Mozilla/5.0 (X11; Linux x86_64) Firefox/136.0"
)

func (h *hit) millis() int64 { return h.end.Sub(h.begin).Milliseconds() }

// An example writes the lines of one format.
type example struct {
	format string // for the flag -format; "" if it is found
	head   string // of the file
	line   func(h *hit) string
}

func plus(s string) string { return strings.ReplaceAll(s, " ", "+") }

func stemAndQuery(target string) (stem, query string) {
	stem, query, ok := strings.Cut(target, "?")
	if !ok {
		query = "-"
	}
	return stem, query
}

// examples are all formats, each with as many fields as its server writes by default.
var examples = map[string]example{
	"common": {line: func(h *hit) string {
		return fmt.Sprintf(`%s - - [%s] "%s %s HTTP/1.1" %d %d`, h.client, h.end.Format(clf), h.method, h.target, h.status, h.bytes)
	}},
	"combined":       {line: combined},
	"vhost-combined": {line: func(h *hit) string { return "shop.example.com:443 " + combined(h) }},
	"nginx-json": {line: func(h *hit) string {
		return fmt.Sprintf(`{"time_iso8601":"%s","msec":"%d.%03d","remote_addr":"%s","remote_user":"","request":"%s %s HTTP/1.1"`+
			`,"status":%d,"request_time":"%.3f","body_bytes_sent":%d,"http_user_agent":"%s"}`,
			h.end.Format(time.RFC3339), h.end.Unix(), h.end.Nanosecond()/1e6, h.client, h.method, h.target, h.status,
			float64(h.millis())/1e3, h.bytes, agent)
	}},
	"caddy": {line: func(h *hit) string {
		return fmt.Sprintf(`{"level":"info","ts":%d.%06d,"logger":"http.log.access","msg":"handled request","request":{"`+
			`remote_ip":"%s","remote_port":"41342","client_ip":"%s","proto":"HTTP/2.0","method":"%s","host":"`+
			`localhost","uri":"%s","headers":{"User-Agent":["%s"],"Accept":["*/*"]},"tls":{"resumed":false,"`+
			`version":772}},"bytes_read":0,"user_id":"","duration":%.6f,"size":%d,"status":%d,"resp_headers":{"`+
			`Server":["Caddy"]}}`,
			h.end.Unix(), h.end.Nanosecond()/1e3, h.client, h.client, h.method, h.target, agent, h.end.Sub(h.begin).Seconds(),
			h.bytes, h.status)
	}},
	"traefik": {line: func(h *hit) string {
		return fmt.Sprintf(`%s - - [%s] "%s %s HTTP/1.1" %d %d "-" "%s" 42 "foo@docker" "http://10.0.0.2:80" %dms`,
			h.client, h.begin.Format(clf), h.method, h.target, h.status, h.bytes, agent, h.millis())
	}},
	"traefik-json": {line: func(h *hit) string {
		return fmt.Sprintf(`{"ClientAddr":"%s:51144","ClientHost":"%s","ClientUsername":"-","DownstreamContentSize":%d,"`+
			`DownstreamStatus":%d,"Duration":%d,"OriginStatus":200,"RequestAddr":"a.example.com","RequestHost":"`+
			`a.example.com","RequestMethod":"%s","RequestPath":"%s","RequestProtocol":"HTTP/1.1","StartLocal":"`+
			`%s","StartUTC":"%s","level":"info","msg":"","request_User-Agent":"%s","time":"%s"}`,
			h.client, h.client, h.bytes, h.status, h.end.Sub(h.begin), h.method, h.target, h.begin.Format(iso),
			h.begin.Format(iso), agent, h.end.Format(time.RFC3339))
	}},
	"envoy": {line: func(h *hit) string {
		return fmt.Sprintf(`[%s] "%s %s HTTP/2" %d - 154 %d %d 100 "%s" "%s" "cc21d9b0-cf5c-432b-8c7e-98aeb7988cd2" "`+
			`shop.example.com" "tcp://10.0.2.1:80"`,
			h.begin.Format(iso), h.method, h.target, h.status, h.bytes, h.millis(), h.client, agent)
	}},
	"envoy-json": {line: func(h *hit) string {
		return fmt.Sprintf(`{":authority":"www.example.com","bytes_sent":%d,"downstream_remote_address":"%s:59292","duration"`+
			`:%d,"method":"%s","protocol":"HTTP/2","response_code":%d,"route_name":null,"start_time":"%s","`+
			`user-agent":"%s","x-envoy-origin-path":"%s","x-forwarded-for":"%s"}`,
			h.bytes, h.client, h.millis(), h.method, h.status, h.begin.Format(iso), agent, h.target, h.client)
	}},
	"alb": {line: func(h *hit) string {
		return fmt.Sprintf(`https %s app/my-loadbalancer/50dc6c495c0c9188 %s:2817 10.0.0.1:80 0.086 0.048 0.037 %d %d 0 %d "%s `+
			`https://www.example.com:443%s HTTP/1.1" "%s" ECDHE-RSA-AES128-GCM-SHA256 TLSv1.2 `+
			`arn:aws:elasticloadbalancing:us-east-2:123456789012:targetgroup/my-targets/73e2d6bc24d8a067 "`+
			`Root=1-58337281-1d84f3d73c47ec4e58577259" "www.example.com" "`+
			`arn:aws:acm:us-east-2:123456789012:certificate/12345678" 1 %s "authenticate,forward" "-" "-" "`+
			`10.0.0.1:80" "200" "-" "-" TID_123456`,
			h.end.Format(iso), h.client, h.status, h.status, h.bytes, h.method, h.target, agent, h.begin.Format(iso))
	}},
	"haproxy": {line: func(h *hit) string {
		return fmt.Sprintf(`Feb  6 12:14:14 localhost haproxy[14389]: %s:33317 [%s] http-in static/srv1 10/0/30/69/%d %d %d - - `+
			`---- 1/1/1/1/0 0/0 {1wt.eu} {} "%s %s HTTP/1.1"`,
			h.client, h.begin.Format("02/Jan/2006:15:04:05.000"), h.millis(), h.status, h.bytes, h.method, h.target)
	}},
	"slog": {line: func(h *hit) string {
		stem, query := stemAndQuery(h.target)
		return fmt.Sprintf(`{"time":"%s","level":"INFO","msg":"request","http":{"method":"%s","path":"%s","query":"%s","status"`+
			`:%d},"remote_addr":"%s:4711","user":"","duration":%d}`,
			h.end.Format(time.RFC3339Nano), h.method, stem, query, h.status, h.client, h.end.Sub(h.begin))
	}},
	"w3c, IIS": {
		head: "#Fields: date time s-ip cs-method cs-uri-stem cs-uri-query s-port cs-username c-ip cs(User-Agent) " +
			"cs(Referer) sc-status sc-substatus sc-win32-status time-taken\n",
		line: func(h *hit) string {
			stem, query := stemAndQuery(h.target)
			return fmt.Sprintf("%s 10.0.0.5 %s %s %s 443 - %s %s - %d 0 0 %d",
				h.end.Format(time.DateTime), h.method, stem, query, h.client, plus(agent), h.status, h.millis())
		},
	},
	"w3c, CloudFront": {
		head: "#Fields: date time x-edge-location sc-bytes c-ip cs-method cs(Host) cs-uri-stem sc-status " +
			"cs(Referer) cs(User-Agent) cs-uri-query cs(Cookie) x-edge-result-type x-edge-request-id " +
			"x-host-header cs-protocol cs-bytes time-taken x-forwarded-for\n",
		line: func(h *hit) string {
			stem, query := stemAndQuery(h.target)
			return strings.Join([]string{
				h.end.Format(time.DateOnly), h.end.Format(time.TimeOnly), "LAX1", fmt.Sprint(h.bytes + 300), h.client, h.method,
				"d111111abcdef8.cloudfront.net", stem, fmt.Sprint(h.status), "-", strings.ReplaceAll(agent, " ", "%20"), query,
				"-", "Hit",
				"SOX4xwn4XV6Q4rgb7XiVGOHms_BGlTAC4KyHmureZmBNrjGdRLiNIQ==", "www.example.com", "https", "23",
				fmt.Sprintf("%.3f", h.end.Sub(h.begin).Seconds()), "-",
			}, "\t")
		},
	},
	"format string, nginx": {
		format: `$remote_addr [$time_local] "$request" $status $request_time`,
		line: func(h *hit) string {
			return fmt.Sprintf(`%s [%s] "%s %s HTTP/1.1" %d %.3f`,
				h.client, h.end.Format(clf), h.method, h.target, h.status, h.end.Sub(h.begin).Seconds())
		},
	},
	"format string, Apache": {
		format: `%h %l %u %t "%r" %>s %b "%{Referer}i" "%{User-Agent}i" %D`,
		line:   func(h *hit) string { return fmt.Sprintf("%s %d", combined(h), h.end.Sub(h.begin).Microseconds()) },
	},
}

func combined(h *hit) string {
	return fmt.Sprintf(`%s - - [%s] "%s %s HTTP/1.1" %d %d "-" "%s"`,
		h.client, h.end.Format(clf), h.method, h.target, h.status, h.bytes, agent)
}

// generate writes n lines of a combined log.
func generate(w io.Writer, n, clients int) { generateAs(w, examples["combined"], n, clients) }

// generateAs writes n lines of a log, of clients whose sizes differ much. Requests take up to half
// a second, and the lines are in the order of their ends.
func generateAs(w io.Writer, e example, n, clients int) {
	random := rand.New(rand.NewPCG(1, 2))
	zipf := rand.NewZipf(random, 1.1, 4, uint64(clients-1))
	now := time.Date(2026, 11, 20, 0, 0, 0, 0, time.UTC)
	fmt.Fprint(w, e.head)
	for range n {
		now = now.Add(time.Duration(random.IntN(200)) * time.Millisecond)
		c := zipf.Uint64()
		h := &hit{end: now, client: fmt.Sprintf("10.%d.%d.%d", c>>16, c>>8&255, c&255)}
		h.method, h.target, h.status = "GET", fmt.Sprintf("/orders/%d", random.IntN(10_000)), 200
		switch random.IntN(4) {
		case 0:
			h.method, h.target, h.status = "POST", "/login", 200+random.IntN(2)*201
		case 1:
			h.target = fmt.Sprintf("/search?q=tea&limit=%d", random.IntN(100))
		}
		h.bytes = random.IntN(9000)
		h.begin = now.Add(-time.Duration(random.IntN(500)) * time.Millisecond)
		fmt.Fprintln(w, e.line(h))
	}
}
