package redistest

import (
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// A Route is an address that leads to a server, as a name or a firewall does. A test can point it
// to another server, delay it, or let it forget its connections.
type Route struct {
	listener net.Listener
	to       atomic.Pointer[string]
	delay    atomic.Int64 // one way

	mu    sync.Mutex
	ends  []net.Conn
	epoch *atomic.Bool // whether the connections of now are forgotten
}

// NewRoute returns a Route to a server. It ends with the test.
func NewRoute(tb testing.TB, to string) *Route {
	tb.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	r := &Route{listener: l, epoch: new(atomic.Bool)}
	r.To(to)
	var all sync.WaitGroup
	all.Go(func() {
		for {
			near, err := l.Accept()
			if err != nil {
				return
			}
			far, err := net.Dial("tcp", *r.to.Load())
			if err != nil {
				_ = near.Close()
				continue
			}
			r.mu.Lock()
			r.ends = append(r.ends, near, far)
			lost := r.epoch
			r.mu.Unlock()
			all.Go(func() { r.carry(near, far, lost) })
			all.Go(func() { r.carry(far, near, lost) })
		}
	})
	tb.Cleanup(func() {
		_ = l.Close()
		r.Cut()
		all.Wait()
	})
	return r
}

// Addr returns the address.
func (r *Route) Addr() string { return r.listener.Addr().String() }

// To lets new connections lead to another server. Older ones stay where they are.
func (r *Route) To(addr string) { r.to.Store(&addr) }

// Delay makes every chunk arrive later, in each direction.
func (r *Route) Delay(oneWay time.Duration) { r.delay.Store(int64(oneWay)) }

// Forget swallows everything that is sent on the connections that there are. They stay open.
func (r *Route) Forget() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.epoch.Store(true)
	r.epoch = new(atomic.Bool)
}

// Cut closes the connections that there are.
func (r *Route) Cut() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, c := range r.ends {
		_ = c.Close()
	}
	r.ends = nil
}

func (r *Route) carry(from, to net.Conn, lost *atomic.Bool) {
	type chunk struct {
		bytes []byte
		due   time.Time
	}
	chunks := make(chan chunk, 1000)
	var writer sync.WaitGroup
	writer.Go(func() {
		defer to.Close()
		for c := range chunks {
			time.Sleep(time.Until(c.due))
			if !lost.Load() {
				_, _ = to.Write(c.bytes)
			}
		}
	})
	for {
		buf := make([]byte, 64<<10)
		n, err := from.Read(buf)
		if err != nil {
			break
		}
		chunks <- chunk{buf[:n], time.Now().Add(time.Duration(r.delay.Load()))}
	}
	close(chunks)
	writer.Wait()
}
