package shed_test

import (
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/ratelimit-go/ratelimit/shed"
)

// A backend has workers. Each of them serves one request at a time, in order, in the time of a
// synctest bubble. The Shedder has to find out its capacity by itself.
type backend struct {
	workers chan struct{}
	mu      sync.Mutex
	service time.Duration // on average
	rnd     *rand.Rand
}

func newBackend(workers int, service time.Duration) *backend {
	return &backend{workers: make(chan struct{}, workers), service: service, rnd: rand.New(rand.NewPCG(3, 4))}
}

func (b *backend) ServeHTTP(http.ResponseWriter, *http.Request) {
	b.workers <- struct{}{}
	defer func() { <-b.workers }()
	time.Sleep(b.takes())
}

func (b *backend) takes() time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	return time.Duration(float64(b.service) * (0.5 + b.rnd.Float64()))
}

func (b *backend) becomes(service time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.service = service
}

// An outcome is what happened to the requests of one source.
type outcome struct {
	mu     sync.Mutex
	lasted time.Duration
	took   []time.Duration // allowed requests
	denied int
}

func (o *outcome) add(code int, took time.Duration) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if code != http.StatusOK {
		o.denied++
		return
	}
	o.took = append(o.took, took)
}

func (o *outcome) perSecond() float64 { return float64(len(o.took)) / o.lasted.Seconds() }

func (o *outcome) p99() time.Duration {
	slices.Sort(o.took)
	return o.took[len(o.took)*99/100]
}

// A source sends requests of one priority at random times. It does not wait for responses.
type source struct {
	priority shed.Priority
	rate     int // per second, on average
}

// drive sends requests for the duration d and returns the outcome of each source.
func drive(h http.Handler, d time.Duration, sources ...source) []*outcome {
	outcomes := make([]*outcome, len(sources))
	var all sync.WaitGroup
	for i, c := range sources {
		out := &outcome{lasted: d}
		outcomes[i] = out
		all.Go(func() {
			rnd := rand.New(rand.NewPCG(uint64(i), uint64(c.rate)))
			for start := time.Now(); time.Since(start) < d; {
				time.Sleep(time.Duration(rnd.ExpFloat64() * float64(time.Second) / float64(c.rate)))
				all.Go(func() {
					began := time.Now()
					out.add(serve(h, prioritized(c.priority)).Code, time.Since(began))
				})
			}
		})
	}
	all.Wait()
	return outcomes
}

const (
	simTarget   = 100 * time.Millisecond
	simCapacity = 1000 // requests per second: 10 workers, 10 ms each
	simInFlight = 100  // a request takes simTarget with so many in flight (Little's law)
)

func TestLimitFindsTheCapacity(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBackend(10, 10*time.Millisecond)
		s := newShedder(t, shed.Config{MaxInFlight: 1000, MinInFlight: 2, TargetLatency: simTarget, Priority: byHeader})
		h := s.Handler(b)
		check := func(phase string, out *outcome, capacity, inFlight float64) {
			t.Logf("%s: limit %d, %.0f per second, p99 %v", phase, s.Stats().Limit, out.perSecond(), out.p99())
			assert.GreaterOrEqual(t, out.perSecond(), 0.9*capacity, phase)
			assert.InDelta(t, inFlight, s.Stats().Limit, 0.4*inFlight, phase)
			assert.LessOrEqual(t, out.p99(), simTarget*3/2, phase)
		}

		calm := drive(h, 2*time.Second, source{rate: simCapacity / 2})[0]
		assert.Zero(t, calm.denied, "without load")
		assert.Equal(t, 900, s.Stats().Limit, "a tenth is kept for critical requests")

		drive(h, 2*time.Second, source{rate: 2 * simCapacity})
		check("twice the capacity", drive(h, 3*time.Second, source{rate: 2 * simCapacity})[0], simCapacity, simInFlight)
		if testing.Short() {
			return
		}
		drive(h, time.Second/2, source{rate: 10 * simCapacity})
		check("ten times the capacity", drive(h, 3*time.Second/2, source{rate: 10 * simCapacity})[0], simCapacity, simInFlight)

		b.becomes(40 * time.Millisecond)
		drive(h, 3*time.Second, source{rate: simCapacity})
		check("a slow database", drive(h, 5*time.Second, source{rate: simCapacity})[0], simCapacity/4, simInFlight/4)

		b.becomes(10 * time.Millisecond)
		drive(h, 4*time.Second, source{rate: 2 * simCapacity})
		check("a fast database again", drive(h, 3*time.Second, source{rate: 2 * simCapacity})[0], simCapacity, simInFlight)

		calm = drive(h, 2*time.Second, source{rate: simCapacity / 2})[0]
		assert.Zero(t, calm.denied, "after load")
		assert.Less(t, calm.p99(), simTarget/2)
	})
}

func TestImportantRequestsKeepTheirLatency(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShedder(t, shed.Config{MaxInFlight: 1000, TargetLatency: simTarget, MinInFlight: 2, Priority: byHeader})
		h := s.Handler(newBackend(10, 10*time.Millisecond))
		critical, normal := source{shed.Critical, simCapacity / 5}, source{shed.Normal, simCapacity / 5}
		mix := []source{critical, normal, {shed.Sheddable, 3 * simCapacity}}
		drive(h, 2*time.Second, mix...)
		out := drive(h, 3*time.Second, mix...)
		t.Logf("limit %d: critical p99 %v, normal p99 %v, sheddable %.0f per second",
			s.Stats().Limit, out[0].p99(), out[1].p99(), out[2].perSecond())
		assert.Zero(t, out[0].denied, "critical")
		assert.LessOrEqual(t, out[1].denied, len(out[1].took)/100, "normal: at most one in a hundred")
		assert.LessOrEqual(t, out[0].p99(), simTarget*3/2)
		assert.Positive(t, out[2].denied)
		assert.GreaterOrEqual(t, out[0].perSecond()+out[1].perSecond()+out[2].perSecond(), 0.9*simCapacity)
		if testing.Short() {
			return
		}

		mix[1].rate = 3 * simCapacity // more than the capacity without any sheddable request
		drive(h, 2*time.Second, mix...)
		out = drive(h, 3*time.Second, mix...)
		t.Logf("limit %d: critical p99 %v, normal %.0f per second, sheddable %.0f",
			s.Stats().Limit, out[0].p99(), out[1].perSecond(), out[2].perSecond())
		assert.Zero(t, out[0].denied, "critical")
		assert.LessOrEqual(t, out[0].p99(), simTarget*3/2)
		assert.Less(t, len(out[2].took), len(out[1].took)/20, "sheddable, against normal")
	})
}
