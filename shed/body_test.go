package shed_test

import (
	"bytes"
	"io"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit/shed"
)

// trickle is a body that takes some time for each of its bytes.
type trickle struct {
	left  int
	pause time.Duration
}

func (b *trickle) Read(p []byte) (int, error) {
	if b.left == 0 {
		return 0, io.EOF
	}
	time.Sleep(b.pause)
	b.left--
	p[0] = 'x'
	return 1, nil
}

func (b *trickle) Close() error { return nil }

// The time that clients take to send bodies does not lower the limit. The time of the handler does,
// also after a body.
func TestSlowBodiesDoNotLowerTheLimit(t *testing.T) {
	for _, tc := range []struct {
		name  string
		pause time.Duration // of each of ten bytes
		works time.Duration
		want  int
	}{
		{"slow clients", time.Second, 100 * time.Millisecond, 100},
		{"slow handler", time.Millisecond, 300 * time.Millisecond, 50},
		{"both", time.Second, 300 * time.Millisecond, 50},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newShedder(t, shed.Config{MaxInFlight: 100, TargetLatency: 250 * time.Millisecond})
				h := s.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
					_, err := io.Copy(io.Discard, r.Body)
					assert.NoError(t, err)
					time.Sleep(tc.works)
				}))
				var all sync.WaitGroup
				for i := range 100 {
					all.Go(func() {
						time.Sleep(time.Duration(i))
						serve(h, httptest.NewRequest(http.MethodPost, "/", &trickle{10, tc.pause}))
					})
				}
				time.Sleep(time.Millisecond)
				assert.Equal(t, int64(100), int64(s.Stats().InFlight), "each has a place meanwhile")
				all.Wait()
				assert.Equal(t, tc.want, int(s.Stats().Limit))
			})
		})
	}
}

// net/http removes the files of a form that a handler behind a Shedder has parsed.
func TestFormOfARequestIsHandedBack(t *testing.T) {
	var form bytes.Buffer
	w := multipart.NewWriter(&form)
	require.NoError(t, w.WriteField("a", "b"))
	require.NoError(t, w.Close())
	s := newShedder(t, shed.Config{MaxInFlight: 1, TargetLatency: time.Second})
	mux := http.NewServeMux()
	mux.HandleFunc("POST /form", func(_ http.ResponseWriter, r *http.Request) {
		assert.NoError(t, r.ParseMultipartForm(1))
		panic("after the form")
	})
	r := httptest.NewRequest(http.MethodPost, "/form", &form)
	r.Header.Set("Content-Type", w.FormDataContentType())
	assert.Panics(t, func() { serve(s.Handler(mux), r) })
	require.NotNil(t, r.MultipartForm)
	assert.Equal(t, []string{"b"}, r.MultipartForm.Value["a"])
	assert.Equal(t, "POST /form", r.Pattern)
	assert.Zero(t, s.Stats().InFlight)
}
