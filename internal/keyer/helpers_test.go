package keyer_test

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

// keyFunc is a Keyer that is a function, such as the KeyFunc of the root package.
type keyFunc func(*http.Request) (key.Key, error)

func (f keyFunc) Key(r *http.Request) (key.Key, error) { return f(r) }

var errBroken = errors.New("broken")

// Keyers that answer the same to every request.
var (
	broken = keyFunc(func(*http.Request) (key.Key, error) { return key.Key{}, errBroken })
	zero   = keyFunc(func(*http.Request) (key.Key, error) { return key.Key{}, nil })
	peer   = keyer.Addr{Source: clientip.Remote()}
	tenant = keyer.Global(key.Pair("tenant", "acme"))
)

// request returns a request from peer, an address and a port, with header fields in pairs.
func request(peer string, fields ...string) *http.Request {
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	if r.RemoteAddr = peer; peer == "" {
		r.RemoteAddr = "192.0.2.1:1"
	}
	for i := 0; i < len(fields); i += 2 {
		r.Header.Add(fields[i], fields[i+1])
	}
	return r
}

// byUser is the Keyer of the text in the field User.
func byUser() keyer.Keyer {
	return keyer.Text{
		Name: "ByUser",
		Text: func(r *http.Request) string { return r.Header.Get("User") },
		Make: user,
	}
}

func user(name string) key.Key { return key.Text(key.User, name) }

func addr(text string, bits int) key.Key { return key.Addr(netip.MustParseAddr(text), bits) }

// A row says which key of r a Keyer finds. The zero Key means that it finds none.
type row struct {
	name string
	by   keyer.Keyer
	r    *http.Request
	want key.Key
}

func (tc row) run(t *testing.T) {
	t.Run(tc.name, func(t *testing.T) {
		got, err := tc.by.Key(tc.r)
		if tc.want.IsZero() {
			require.ErrorIs(t, err, keyer.ErrNoKey)
		} else {
			require.NoError(t, err)
		}
		assert.Equal(t, tc.want, got)
		assert.Equal(t, tc.want.String(), got.String())
	})
}

// texts returns the texts of the errors.
func texts(errs []error) []string {
	var all []string
	for _, err := range errs {
		all = append(all, err.Error())
	}
	return all
}
