package scenarios_test

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit"
	"github.com/ratelimit-go/ratelimit/shed"
)

func allScenarios() (all []scenario) {
	all = append(all, limitScenarios...)
	all = append(all, chargeScenarios...)
	return append(all, stayScenarios...)
}

// stayScenarios are about requests that last.
var stayScenarios = []scenario{
	{"in flight", func(t *testing.T, r *run) {
		inFlight := ratelimit.Rule{Name: "in-flight", InFlight: 1}
		lasting(t, r, 429, r.rules(inFlight).Handler)
	}},
	{"in flight and charged", func(t *testing.T, r *run) {
		both := ratelimit.Rule{
			Name: "both", InFlight: 1, Limits: ratelimit.MustParse("10 per minute"), CountOnly: ratelimit.Failures,
		}
		lasting(t, r, 429, r.rules(both).Handler)
	}},
	{"a shedder", func(t *testing.T, r *run) {
		shedder, err := shed.New(shed.Config{MaxInFlight: 1})
		require.NoError(t, err)
		lasting(t, r, 503, shedder.Handler)
	}},
	{"held until there are tokens", func(t *testing.T, r *run) {
		l, err := ratelimit.New(ratelimit.Config{Headers: ratelimit.NoHeaders, Rules: []ratelimit.Rule{{
			Name: "held", Limits: ratelimit.MustParse("5 per second burst 1"), MaxWait: time.Second,
		}}})
		require.NoError(t, err)
		s := get("/x", ok)
		s.use = []decorator{l.Handler}
		r.start(s)
		begin := time.Now()
		assert.Equal(t, []int{200, 200, 200}, r.statuses(3, "GET", "/x"))
		assert.Greater(t, time.Since(begin), 300*time.Millisecond)
	}},
	{"a stream", func(t *testing.T, r *run) { streaming(t, r, ratelimit.Rule{Name: "streams", InFlight: 1}) }},
	{"a stream and failures", func(t *testing.T, r *run) {
		streaming(t, r, ratelimit.Rule{
			Name: "streams", InFlight: 1, Limits: ratelimit.MustParse("2 per minute"), CountOnly: ratelimit.Failures,
		})
	}},
	{"a hijacked connection", func(t *testing.T, r *run) {
		hijacking(t, r, ratelimit.Rule{Name: "sockets", InFlight: 1})
	}},
	{"a hijacked connection and its status", func(t *testing.T, r *run) {
		hijacking(t, r, ratelimit.Rule{
			Name: "sockets", InFlight: 1, Limits: ratelimit.MustParse("3 per minute"),
			CountOnly: func(res ratelimit.Response) bool {
				r.note("%d %v", res.Status, res.Hijacked)
				return res.Status == http.StatusSwitchingProtocols
			},
		})
	}},
}

// lasting sends a request while another one is in flight, and one afterwards.
func lasting(t *testing.T, r *run, denied int, m decorator) {
	entered, leave := make(chan struct{}), make(chan struct{})
	s := get("/slow", func(x exchange) error {
		entered <- struct{}{}
		<-leave
		return x.Text(200, "slow")
	})
	s.routes = append(s.routes, route{method: "GET", path: "/x", do: ok})
	s.use = []decorator{m}
	r.start(s)
	done := make(chan int)
	go func() {
		resp := r.open("GET", "/slow", "")
		_ = resp.Body.Close()
		done <- resp.StatusCode
	}()
	<-entered
	assert.Equal(t, denied, statusOnly(r, "/x"))
	close(leave)
	assert.Equal(t, 200, <-done)
	r.soon(200, "/x")
	r.note("done")
}

// statusOnly sends a request and does not write the response down: clients of a shared place are
// told different waits.
func statusOnly(r *run, path string) int {
	resp := r.open("GET", path, "")
	_ = resp.Body.Close()
	return resp.StatusCode
}

// soon waits until a request is answered with status. A place is free when the handler of the
// server has returned, which may be after the client has the response.
func (r *run) soon(status int, path string) {
	assert.Eventually(r.t, func() bool { return statusOnly(r, path) == status }, 5*time.Second, 5*time.Millisecond)
}

// streaming reads the first event of a stream before its handler ends.
func streaming(t *testing.T, r *run, rl ratelimit.Rule) {
	more := make(chan struct{})
	s := get("/events", func(x exchange) error { return x.Stream("data: 1\n\n", more, "data: 2\n\n") })
	s.routes = append(s.routes, route{method: "GET", path: "/x", do: ok})
	s.use = []decorator{r.rules(rl).Handler}
	r.start(s)
	resp := r.open("GET", "/events", "")
	defer func() { _ = resp.Body.Close() }()
	reader := bufio.NewReader(resp.Body)
	line, err := reader.ReadString('\n')
	require.NoError(t, err)
	assert.Equal(t, "data: 1\n", line)
	assert.Equal(t, 429, statusOnly(r, "/x"), "the stream is in flight")
	close(more)
	rest, err := io.ReadAll(reader)
	require.NoError(t, err)
	r.note("%d %s %q %q", resp.StatusCode, resp.Header.Get("RateLimit-Policy"), line, rest)
	r.soon(200, "/x")
}

// hijacking talks to a handler that has taken the connection.
func hijacking(t *testing.T, r *run, rl ratelimit.Rule) {
	more := make(chan struct{})
	s := get("/socket", func(x exchange) error { return x.Hijack("hello", more) })
	s.routes = append(s.routes, route{method: "GET", path: "/x", do: ok})
	s.use = []decorator{r.rules(rl).Handler}
	r.start(s)
	conn, err := net.Dial("tcp", strings.TrimPrefix(r.url, "http://"))
	require.NoError(t, err)
	defer func() { _ = conn.Close() }()
	require.NoError(t, conn.SetDeadline(time.Now().Add(10*time.Second)))
	_, err = io.WriteString(conn, "GET /socket HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: test\r\n\r\n")
	require.NoError(t, err)
	reader := bufio.NewReader(conn)
	resp, err := http.ReadResponse(reader, nil)
	require.NoError(t, err)
	hello := make([]byte, 5)
	_, err = io.ReadFull(reader, hello)
	require.NoError(t, err)
	r.note("%d %s", resp.StatusCode, hello)
	assert.Equal(t, 429, statusOnly(r, "/x"), "the connection is in flight")
	close(more)
	_, err = reader.ReadByte()
	assert.ErrorIs(t, err, io.EOF)
	r.soon(200, "/x")
}
