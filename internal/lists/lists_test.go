package lists_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit/clientip"
	"github.com/ratelimit-go/ratelimit/internal/key"
	"github.com/ratelimit-go/ratelimit/internal/keyer"
	"github.com/ratelimit-go/ratelimit/internal/lists"
)

var alice = key.Text(key.User, "alice")

// A byUser finds the user in a header field. It fails for "mallory", and panics for "trudy".
type byUser struct{}

func (byUser) Key(r *http.Request) (key.Key, error) {
	switch name := r.Header.Get("User"); name {
	case "mallory":
		return key.Key{}, errors.New("no database")
	case "trudy":
		panic("user")
	default:
		return key.Text(key.User, name), nil
	}
}

func TestFind(t *testing.T) {
	l, err := lists.New([]string{"10.0.0.0/8", "2001:db8::/32"}, []key.Key{alice})
	require.NoError(t, err)
	addrs, err := lists.New([]string{"10.0.0.0/8"}, nil)
	require.NoError(t, err)
	for _, tc := range []struct {
		name       string
		list       *lists.List
		peer, user string
		by         keyer.Keyer
		want       string // text of the key
		err        string
	}{
		{name: "a nil list", peer: "10.1.2.3:1"},
		{name: "an address", list: l, peer: "10.1.2.3:1", want: "addr:10.1.2.3"},
		{name: "an IPv6 address", list: l, peer: "[2001:db8::1]:1", want: "addr:2001:db8::/64"},
		{name: "another address", list: l, peer: "11.1.2.3:1"},
		{name: "a key", list: l, peer: "11.1.2.3:1", user: "alice", by: byUser{}, want: "user:alice"},
		{name: "a key without a Keyer", list: l, peer: "11.1.2.3:1", user: "alice"},
		{name: "another key", list: l, peer: "11.1.2.3:1", user: "bob", by: byUser{}},
		{name: "no address", list: l, peer: "@", user: "alice", by: byUser{}, want: "user:alice"},
		{name: "an error", list: l, peer: "@", user: "mallory", by: byUser{}, err: "ratelimit: list: Key: no database"},
		{name: "a panic", list: l, peer: "@", user: "trudy", by: byUser{}, err: "ratelimit: list: Key: panic: user"},
		{name: "no keys to look up", list: addrs, peer: "@", user: "trudy", by: byUser{}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := httptest.NewRequest(http.MethodGet, "/", nil)
			r.RemoteAddr = tc.peer
			r.Header.Set("User", tc.user)
			got, err := tc.list.Find(r, clientip.Remote(), tc.by)
			if tc.err == "" {
				require.NoError(t, err)
			} else {
				require.ErrorContains(t, err, tc.err)
			}
			assert.Equal(t, tc.want == "", got.IsZero())
			if tc.want != "" {
				assert.Equal(t, tc.want, got.String())
			}
		})
	}
}

func TestMistakes(t *testing.T) {
	_, err := lists.New([]string{"10.0.0.0/8", "ten", "0.0.0.0/0"}, []key.Key{alice, {}})
	assert.EqualError(t, err, "clientip: prefix 1: \"ten\": want an address or a prefix such as 10.0.0.0/8\n"+
		"clientip: prefix 2: \"0.0.0.0/0\" contains all clients: want prefixes of some\n"+
		"ratelimit: key 1: the zero Key, which identifies no client")
	_, err = lists.New(make([]string, 1_000_001), nil)
	require.EqualError(t, err, "ratelimit: a list of 1000001 entries: want at most 1000000")
	_, err = lists.New(nil, make([]key.Key, 1_000_001))
	require.EqualError(t, err, "ratelimit: a list of 1000001 entries: want at most 1000000")
}
