package redisstore_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"math"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit"
	"github.com/ratelimit-go/ratelimit/redisstore"
	"github.com/ratelimit-go/ratelimit/store"
)

func newStore(t testing.TB, client redis.UniversalClient, cfg redisstore.Config) *redisstore.Store {
	t.Helper()
	s, err := redisstore.New(client, cfg)
	require.NoError(t, err)
	return s
}

var prefixes atomic.Int64

// prefix returns a prefix that no other store has, so that stores on one server share nothing.
func prefix() string { return fmt.Sprint("s", prefixes.Add(1)) }

// inParallel runs a case of storetest beside other cases, because most of them wait. The case that
// stops the server runs alone, before them.
func inParallel(t *testing.T, f func(t *testing.T)) {
	if !strings.Contains(t.Name(), "stalled_store") {
		t.Parallel()
	}
	f(t)
}

func limit(t testing.TB, rule string, index int, text string) *store.Limit {
	t.Helper()
	n := ratelimit.MustParse(text)[0]
	l, err := store.NewLimit(rule, index, n.Count, n.Period, n.Burst)
	require.NoError(t, err)
	return l
}

func take(l *store.Limit, user string, n int64) []store.Op {
	return []store.Op{{Limit: l, Key: ratelimit.UserKey(user), Cost: n}}
}

func wantReason(t testing.TB, err error, want store.Reason) {
	t.Helper()
	var e *redisstore.Error
	require.ErrorAs(t, err, &e)
	assert.Equal(t, want, e.Reason, "%v", err)
	assert.Equal(t, want, store.ReasonOf(err))
}

// keysOf returns the names of all keys.
func keysOf(t testing.TB, client *redis.Client) []string {
	t.Helper()
	return client.Keys(t.Context(), "*").Val()
}

// words returns the state with all words as text, without their classes: the instant, the tokens,
// and behind the first word the time of a token.
func (r *rule) words() string {
	state := r.state()
	var words []string
	for state != "" {
		word, rest, _ := strings.Cut(state, " ")
		if state[0] >= 128 {
			length := 12
			if len(words) > 0 {
				length = 15
			}
			word, rest = state[:length], strings.TrimPrefix(state[length:], " ")
			b := []byte(word)
			at := binary.BigEndian.Uint64(append([]byte{0, 6 + b[0]>>6&1}, b[1:7]...))
			tokens := float64(uint64(b[7])<<32|uint64(binary.BigEndian.Uint32(b[8:12]))) / math.Exp2(40-4*float64((b[0]&63-4)/12))
			token := ""
			if length == 15 {
				us := float64(math.Float32frombits(binary.BigEndian.Uint32(append(b[12:], 0))))
				token = fmt.Sprintf("@%.3g", us)
			}
			word = fmt.Sprintf("%d%s%s", at, strconv.FormatFloat(tokens, 'f', -1, 64), token)
		} else if state[0] == '-' {
			word = word[2:18] + strings.TrimLeft(word[18:], "0")
		}
		word = regexp.MustCompile(`!\d+`).ReplaceAllString(word, "")
		words, state = append(words, word), rest
	}
	return strings.Join(words, " ")
}

// latin1 makes a letter of each byte of s.
func latin1(s string) string {
	r := make([]rune, len(s))
	for i := range len(s) {
		r[i] = rune(s[i])
	}
	return string(r)
}

var ok = http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})

// get returns the status of a request to h.
func get(h http.Handler) int {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", nil))
	return w.Code
}

// quiet are Hooks that log nothing.
var quiet = ratelimit.Hooks{
	Error:      func(context.Context, error) {},
	StoreState: func(context.Context, store.State) {},
}
