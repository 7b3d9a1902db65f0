package dashboard

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit"
)

type sent struct {
	At   string            `json:"at"`
	HTML map[string]string `json:"html"`
}

// open opens a stream and returns a function that reads its next message.
func open(t *testing.T, url string) (next func() sent, res *http.Response) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url+"/x/events", nil)
	require.NoError(t, err)
	res, err = http.DefaultClient.Do(r)
	require.NoError(t, err)
	t.Cleanup(func() { cancel(); _ = res.Body.Close() })
	lines := bufio.NewScanner(res.Body)
	lines.Buffer(nil, 1<<20)
	return func() (m sent) {
		for lines.Scan() {
			if data, ok := strings.CutPrefix(lines.Text(), "data: "); ok {
				require.NoError(t, json.Unmarshal([]byte(data), &m))
				return m
			}
		}
		return sent{}
	}, res
}

func TestStreamSendsWhatChanges(t *testing.T) {
	t.Parallel()
	l := newLimiter(t)
	p := newPage(t, l, Config{})
	server := httptest.NewServer(p)
	t.Cleanup(server.Close)
	next, res := open(t, server.URL)
	assert.Equal(t, "text/event-stream", res.Header.Get("Content-Type"))
	assert.Len(t, next().HTML, len(sections), "the first message has everything")

	start := time.Now()
	request(l.Handler(ok), "mallory", 9)
	m := next()
	for m.HTML["denied"] == "" && time.Since(start) < 5*time.Second {
		m = next()
	}
	assert.Contains(t, m.HTML["denied"], "user:mallory")
	assert.Less(t, time.Since(start), 2*time.Second)
	assert.NotContains(t, m.HTML, "dryrun", "it has not changed")
}

// All streams share one rendering per second, and get only what has changed since the one before.
// News is one more.
func TestStreamsShareFrames(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLimiter(t)
		p := newPage(t, l, Config{})
		ctx, leave := context.WithCancel(t.Context())
		var full, all atomic.Int32
		const streams, seconds = 50, 10
		for range streams {
			time.Sleep(37 * time.Millisecond)
			last := 0
			go p.follow(httptest.NewRequest(http.MethodGet, "/events", nil).WithContext(ctx), false, func(now time.Time) error {
				f := p.frame(now, false)
				if m := f.since(&last); m != nil {
					all.Add(1)
					if &m[0] == &f.full[0] {
						full.Add(1)
					}
				}
				return nil
			})
		}
		synctest.Wait()
		before, wasFull, was := p.frame(time.Now(), false).number, full.Load(), all.Load()
		h := l.Handler(ok)
		for i := range 100 * seconds { // all calm
			time.Sleep(10 * time.Millisecond)
			request(h, strconv.Itoa(i), 1)
		}
		synctest.Wait()
		assert.LessOrEqual(t, p.frame(time.Now(), false).number-before, seconds+1)
		assert.InDelta(t, streams*seconds, all.Load()-was, streams, "a message per stream and second")
		assert.LessOrEqual(t, full.Load()-wasFull, int32(streams), "they get what has changed")

		before = p.frame(time.Now(), false).number
		request(h, "mallory", 3)
		synctest.Wait()
		assert.LessOrEqual(t, p.frame(time.Now(), false).number-before, 1)
		leave()
		synctest.Wait()
	})
}

// On a busy machine a stream renders some time after it was due, and others have been due since.
func TestStreamsThatAreBehindShareFrames(t *testing.T) {
	l := newLimiter(t)
	p := newPage(t, l, Config{})
	start := time.Now()
	first := p.frame(start, false)
	for i := range 20 {
		assert.Equal(t, first.number, p.frame(start.Add(time.Duration(-i)*time.Millisecond), false).number)
	}
	p.watch.news.next()
	request(l.Handler(ok), "mallory", 9)
	second := p.frame(start, false)
	assert.Equal(t, first.number+1, second.number)
	assert.Contains(t, string(second.html["denied"]), "mallory")
	for i := range 20 {
		assert.Equal(t, second.number, p.frame(start.Add(time.Duration(-i)*time.Millisecond), false).number)
	}
	assert.Equal(t, second.number+1, p.frame(start.Add(-time.Hour), false).number, "the clock was set back")
}

func TestNumberOfStreamsIsBounded(t *testing.T) {
	p := newPage(t, newLimiter(t), Config{MaxStreams: 2})
	server := httptest.NewServer(p)
	t.Cleanup(server.Close)
	for range 2 {
		next, res := open(t, server.URL)
		require.Equal(t, 200, res.StatusCode)
		next()
	}
	_, res := open(t, server.URL)
	assert.Equal(t, 503, res.StatusCode)
	assert.Equal(t, "10", res.Header.Get("Retry-After"))
}

// Close ends the streams, so that the server can shut down.
func TestCloseEndsStreams(t *testing.T) {
	p := newPage(t, newLimiter(t), Config{})
	server := httptest.NewUnstartedServer(p)
	server.Config.RegisterOnShutdown(p.Close)
	server.Start()
	next, res := open(t, server.URL)
	next()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	require.NoError(t, server.Config.Shutdown(ctx))
	_, err := io.Copy(io.Discard, res.Body)
	assert.NoError(t, err)
	server.Close()
}

// A reader who does not read is cut off, and a server that cannot do that gets no stream.
func TestSlowReaderIsCutOff(t *testing.T) {
	t.Parallel()
	var rules []ratelimit.Rule
	for i := range 1500 { // a first message that no buffer holds
		name := "rule-" + strconv.Itoa(i) + strings.Repeat("x", 50)
		rules = append(rules, ratelimit.Rule{Name: name, Limits: ratelimit.MustParse("1 per hour"), Key: ratelimit.Global(name)})
	}
	p := newPage(t, newLimiter(t, rules...), Config{MayAct: everyone, Who: alice})
	p.streams.patience = 300 * time.Millisecond
	var open atomic.Int32
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		open.Add(1)
		defer open.Add(-1)
		p.ServeHTTP(w, r)
	}))
	server.Config.ConnContext = func(ctx context.Context, c net.Conn) context.Context {
		_ = c.(*net.TCPConn).SetWriteBuffer(4096)
		return ctx
	}
	server.Start()
	t.Cleanup(server.Close)
	conn, err := net.Dial("tcp", server.Listener.Addr().String())
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	require.NoError(t, conn.(*net.TCPConn).SetReadBuffer(4096))
	_, err = io.WriteString(conn, "GET /x/events HTTP/1.1\r\nHost: x\r\n\r\n")
	require.NoError(t, err)
	require.Eventually(t, func() bool { return open.Load() == 1 }, 5*time.Second, 10*time.Millisecond)
	assert.Eventually(t, func() bool { return open.Load() == 0 }, 10*time.Second, 50*time.Millisecond,
		"the stream ends although the client stays")

	w := httptest.NewRecorder() // it has no deadline
	p.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/x/events", nil))
	assert.Equal(t, 501, w.Code)
}

func TestStreamEndsWithTheSession(t *testing.T) {
	t.Parallel()
	var signedOut atomic.Bool
	p := newPage(t, newLimiter(t), Config{Authorize: func(*http.Request) bool { return !signedOut.Load() }})
	p.streams.askAgain, p.streams.patience = time.Second, 300*time.Millisecond
	server := httptest.NewServer(p)
	t.Cleanup(server.Close)
	next, _ := open(t, server.URL)
	for range 3 {
		require.NotEmpty(t, next().At, "the time to read begins again with each message")
	}
	signedOut.Store(true)
	start := time.Now()
	for next().At != "" {
		require.Less(t, time.Since(start), 5*time.Second)
	}
}
