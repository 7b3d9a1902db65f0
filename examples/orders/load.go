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
	want           int // another status is an error
}

// fleet sends requests from many addresses.
type fleet struct {
	url     string
	mu      sync.Mutex
	clients map[netip.Addr]*http.Client
}

func newFleet(url string) *fleet { return &fleet{url: url, clients: map[netip.Addr]*http.Client{}} }

// client returns the client whose connections come from that address.
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

// close ends all idle connections.
func (f *fleet) close() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, c := range f.clients {
		c.CloseIdleConnections()
	}
	clear(f.clients)
}

// do sends one request and reads the whole answer. It returns the status and the first KiB of the
// body.
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

// stream is a number of requests that come at a steady rate, even if earlier ones are not answered.
type stream struct {
	rate     float64 // per second
	count    int
	enough   int           // run closes started when so many requests were due
	started  chan struct{} // may be nil
	inFlight int           // run drops the requests that are due while so many are in flight
	patience time.Duration // how long a request may take
	shot     func(i int) shot
}

// sample is the result of one request.
type sample struct {
	due    time.Time
	took   time.Duration // from when it was due
	failed bool          // no answer, or another status than wanted
}

// run sends the stream until its end, or until ctx ends or stop is closed. It returns a sample for
// each request that it has sent.
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
