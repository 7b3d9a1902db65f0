package main

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"time"
)

// shot is one request.
type shot struct {
	from           netip.Addr
	method, path   string
	token          string // of a signed-in user
	name, password string // for HTTP Basic authentication
	body           string
	want           int // the status that is no error
}

// fleet sends requests from many addresses.
type fleet struct {
	url     string
	mu      sync.Mutex
	clients map[netip.Addr]*http.Client
}

func newFleet(url string) *fleet { return &fleet{url: url, clients: map[netip.Addr]*http.Client{}} }

// client returns the one whose connections come from that address.
func (f *fleet) client(from netip.Addr) *http.Client {
	f.mu.Lock()
	defer f.mu.Unlock()
	if c := f.clients[from]; c != nil {
		return c
	}
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: from.AsSlice()}}
	c := &http.Client{Transport: &http.Transport{DialContext: dialer.DialContext, MaxIdleConnsPerHost: 16}}
	f.clients[from] = c
	return c
}

// close ends all connections, as far as they are idle.
func (f *fleet) close() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, c := range f.clients {
		c.CloseIdleConnections()
	}
	clear(f.clients)
}

// do sends one request and reads the whole answer, of which it returns the beginning.
func (f *fleet) do(ctx context.Context, s shot) (status int, body []byte, err error) {
	r, err := http.NewRequestWithContext(ctx, s.method, f.url+s.path, strings.NewReader(s.body))
	if err != nil {
		return 0, nil, err
	}
	if s.token != "" {
		r.Header.Set("Authorization", "Bearer "+s.token)
	}
	if s.name != "" {
		r.SetBasicAuth(s.name, s.password)
	}
	resp, err := f.client(s.from).Do(r)
	if err != nil {
		return 0, nil, err
	}
	body, err = io.ReadAll(io.LimitReader(resp.Body, 1<<10))
	_, rest := io.Copy(io.Discard, resp.Body)
	return resp.StatusCode, body, errors.Join(err, rest, resp.Body.Close())
}

// stream is a number of requests that come at a steady rate, whatever becomes of those before.
type stream struct {
	rate     float64 // per second
	count    int
	enough   int           // of count: started is closed when so many were due
	started  chan struct{} // may be nil
	inFlight int           // at most: what comes while so many are under way is dropped
	patience time.Duration // for one request
	shot     func(i int) shot
}

// sample is what became of one request.
type sample struct {
	due    time.Time
	took   time.Duration // from when it was due
	failed bool          // not answered as wanted
}

// run sends the stream until it is at its end, or ctx is, or stop is closed, and returns what
// became of each request that was sent.
func (s *stream) run(ctx context.Context, f *fleet, stop <-chan struct{}) []sample {
	var (
		mu      sync.Mutex
		samples []sample
		wg      sync.WaitGroup
		slots   = make(chan struct{}, s.inFlight)
		start   = time.Now()
		timer   = time.NewTimer(0)
	)
	for i := range s.count {
		if i == s.enough && s.started != nil {
			close(s.started)
		}
		due := start.Add(time.Duration(float64(i) / s.rate * float64(time.Second)))
		timer.Reset(time.Until(due))
		select {
		case <-timer.C:
			select {
			case slots <- struct{}{}:
				wg.Go(func() {
					got := s.send(ctx, f, due, s.shot(i))
					<-slots
					mu.Lock()
					defer mu.Unlock()
					samples = append(samples, got)
				})
			default: // dropped
			}
			continue
		case <-stop:
		case <-ctx.Done():
		}
		break
	}
	wg.Wait()
	return samples
}

func (s *stream) send(ctx context.Context, f *fleet, due time.Time, shot shot) sample {
	ctx, cancel := context.WithDeadline(ctx, due.Add(s.patience))
	defer cancel()
	status, _, err := f.do(ctx, shot)
	return sample{due, time.Since(due), err != nil || status != shot.want}
}
