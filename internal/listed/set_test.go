package listed

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit/clientip"
	"github.com/ratelimit-go/ratelimit/internal/key"
	"github.com/ratelimit-go/ratelimit/internal/keyer"
)

type keyFunc func(*http.Request) (key.Key, error)

func (f keyFunc) Key(r *http.Request) (key.Key, error) { return f(r) }

func TestFind(t *testing.T) {
	user := key.Text(key.User, "alice")
	s, err := NewSet([]string{"192.0.2.0/24", "2001:db8::1"}, []key.Key{user})
	require.NoError(t, err)
	broken := errors.New("broken")
	for _, tc := range []struct {
		name, remote, want string
		by                 keyer.Keyer
		err                string
	}{
		{name: "an address", remote: "192.0.2.9:1", want: "addr:192.0.2.9"},
		{name: "another address", remote: "198.51.100.1:1", want: "none"},
		{name: "an IPv6 address", remote: "[2001:db8::1]:1", want: "addr:2001:db8::/64"},
		{name: "a key", remote: "@", by: keyFunc(func(*http.Request) (key.Key, error) { return user, nil }), want: "user:alice"},
		{name: "no key", remote: "@", by: keyFunc(func(*http.Request) (key.Key, error) { return user, keyer.ErrNoKey }), want: "none"},
		{
			name: "an error", remote: "@", by: keyFunc(func(*http.Request) (key.Key, error) { return user, broken }), want: "none",
			err: "ratelimit: list: Key: broken",
		},
	} {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.RemoteAddr = tc.remote
		k, err := s.Find(r, clientip.Source{}, tc.by)
		assert.Equal(t, tc.want, k.String(), tc.name)
		if tc.err == "" {
			assert.NoError(t, err, tc.name)
		} else {
			assert.EqualError(t, err, tc.err, tc.name)
		}
	}
}

func TestMistakes(t *testing.T) {
	_, err := NewSet([]string{"x", "0.0.0.0/0"}, []key.Key{{}})
	assert.ErrorContains(t, err, `"x"`)
	assert.ErrorContains(t, err, `"0.0.0.0/0" contains all clients`)
	assert.ErrorContains(t, err, "key 0: the zero Key")
	_, err = NewSet(make([]string, most+1), nil)
	assert.ErrorContains(t, err, "a list of 1000001 entries")
}

func TestKeysThatNothingFinds(t *testing.T) {
	user, addr := key.Text(key.User, "alice"), key.Addr(netip.MustParseAddr("192.0.2.1"), 32)
	for _, tc := range []struct {
		name string
		keys []key.Key
		by   keyer.Keyer
		want string
	}{
		{"a user", []key.Key{addr, user}, nil, "nil, so that user:alice is never found: want for example ByUser"},
		{"a user, and a Key", []key.Key{addr, user}, keyer.ClientIP{}, ""},
		{"an address", []key.Key{addr}, nil, ""},
		{"no keys", nil, nil, ""},
	} {
		s, err := NewSet(nil, tc.keys)
		require.NoError(t, err)
		text := ""
		for _, err := range s.Check(tc.by) {
			text += err.Error()
		}
		assert.Equal(t, tc.want, text, tc.name)
	}
	assert.Empty(t, (*Set)(nil).Check(nil), "an empty list")
}
