package faults

import (
	"context"
	cryptorand "crypto/rand"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit"
	"github.com/ratelimit-go/ratelimit/redisstore/internal/redistest"
)

// serverTime returns the clock of the server.
func serverTime(t testing.TB, client *redis.Client) time.Time {
	t.Helper()
	now, err := client.Time(t.Context()).Result()
	require.NoError(t, err)
	return now
}

// F19: four processes of 64 goroutines each use one key. What they are given in all is what
// is due to one, to the token; and they are given it, and not kept waiting for it.
func TestF19CheckThenCount(t *testing.T) {
	noLeaks(t)
	const processes, goroutines, rate, burst = 4, 64, 500, 5000
	server := redistest.Start(t)
	client := server.Client()
	limits := fmt.Sprintf("%d per second burst %d", rate, burst)
	observer := newInstance(t, client, limits, ratelimit.Config{StoreTimeout: 30 * time.Second})
	var children []*child
	for range processes {
		children = append(children, startChild(t, job{
			Do: "ask", Addr: server.Addr(), Limits: limits, Callers: goroutines, User: "a", Pause: 2 * time.Millisecond,
			Config: jobConfig{OnStoreFailure: ratelimit.FailClosed, StoreTimeout: 30 * time.Second},
		}))
	}
	// The bucket begins empty and is never full again, so no token that is due gets lost.
	early := serverTime(t, client)
	d, err := observer.Take(t.Context(), "r", ratelimit.UserKey("a"), burst)
	require.NoError(t, err)
	require.True(t, d.Allowed)
	late := serverTime(t, client)
	for _, c := range children {
		c.begin()
	}
	limit := nameLimit(t, 0, limits)
	rest := func() int64 { return left(t, observer.store, "a", limit) } // as the server says, not what is known here
	least := int64(burst)
	for time.Since(late) < 3*time.Second {
		time.Sleep(20 * time.Millisecond)
		if time.Since(late) > time.Second {
			least = min(least, rest())
		}
	}
	for _, c := range children {
		c.end()
	}
	var got outcome
	for _, c := range children {
		o := c.outcome()
		got.Admitted, got.Refused, got.Closed = got.Admitted+o.Admitted, got.Refused+o.Refused, got.Closed+o.Closed
	}
	before := serverTime(t, client)
	inTheEnd := rest()
	after := serverTime(t, client)
	most, due := rate*after.Sub(early).Seconds(), rate*before.Sub(late).Seconds()
	t.Logf("%d processes of %d goroutines: %d admitted and %d left of %.1f to %.1f due in %v; %d refused; least left at any time %d",
		processes, goroutines, got.Admitted, inTheEnd, due, most, after.Sub(early), got.Refused, least)
	assert.Zero(t, got.Closed)
	assert.LessOrEqual(t, float64(got.Admitted+inTheEnd), most)
	assert.GreaterOrEqual(t, float64(got.Admitted+inTheEnd), due-1, "tokens got lost")
	assert.LessOrEqual(t, least, int64(rate/100), "a token that is due is taken")
}

// F14: four instances have only their memory, since the server was killed. If each knows that it
// is one of four, they admit what one limit admits; if not, four times as much.
func TestF14FallbackSemantics(t *testing.T) {
	noLeaks(t)
	const processes, rate, burst = 4, 100, 200
	server := redistest.Start(t)
	start := func(instances int) (children []*child) {
		for range processes {
			children = append(children, startChild(t, job{
				Do: "ask", Addr: server.Addr(), Limits: fmt.Sprintf("%d per second burst %d", rate, burst), Pause: 2 * time.Millisecond,
				Callers: 4, User: fmt.Sprint("one of ", instances),
				Config: jobConfig{OnStoreFailure: ratelimit.UseMemory, Instances: instances, StoreTimeout: 200 * time.Millisecond},
			}))
		}
		return children
	}
	groups := map[int][]*child{1: start(1), processes: start(processes)}
	begin := time.Now() // a busy server may fail before it is killed
	for _, children := range groups {
		for _, c := range children {
			c.begin()
		}
	}
	client := server.Client()
	require.Eventually(t, func() bool { return client.DBSize(t.Context()).Val() >= 2 }, soon, 10*time.Millisecond)
	server.Kill()
	time.Sleep(3 * time.Second)
	got := map[int]int64{}
	for _, children := range groups {
		for _, c := range children {
			c.end()
		}
	}
	for instances, children := range groups {
		for _, c := range children {
			got[instances] += c.outcome().Open
		}
	}
	outage := time.Since(begin)
	due := burst + rate*outage.Seconds()
	t.Logf("%d processes in an outage of %v, in which one limit admits %.0f: %d admitted as one of %d, %d as if alone",
		processes, outage, due, got[processes], processes, got[1])
	assert.LessOrEqual(t, float64(got[processes]), due)
	assert.GreaterOrEqual(t, got[processes], int64(burst), "the part of each is a quarter")
	assert.LessOrEqual(t, float64(got[1]), processes*due)
	assert.Greater(t, got[1], got[processes])
}

// F21: an instance is started again. In memory it begins with a full burst; in Redis it goes on
// where it was.
func TestF21Restart(t *testing.T) {
	noLeaks(t)
	server := redistest.Start(t)
	run := func(addr string) int64 {
		c := startChild(t, job{
			Do: "ask", Addr: addr, Limits: "10 per day", Callers: 1, Calls: 7, User: "a",
			Config: jobConfig{OnStoreFailure: ratelimit.FailClosed, StoreTimeout: 30 * time.Second},
		})
		c.begin()
		return c.outcome().Admitted
	}
	memory := []int64{run(""), run(""), run("")}
	shared := []int64{run(server.Addr()), run(server.Addr()), run(server.Addr())}
	server.Restart()
	shared = append(shared, run(server.Addr()))
	t.Logf("10 per day, 7 asked by each process: in memory %v, in Redis %v, the last one after a restart of the server", memory, shared)
	assert.Equal(t, []int64{7, 7, 7}, memory, "at most a burst for each restart")
	assert.Equal(t, []int64{7, 3, 0, 7}, shared, "nothing is on disk, so at most a burst for each restart of the server")
}

// What one operation of a history is asked and answered.
type (
	question struct {
		Kind ratelimit.OpKind
		Cost int64
	}
	answer struct {
		Allowed   bool
		Remaining int64
		Reset     time.Duration
		Unknown   bool // no answer in time: it may be done at any time from then on, or never
	}
	event struct {
		ID           string
		Client       int
		Question     question
		Answer       answer
		Call, Return int64
	}
)

const modelBurst = 20

// model is a bucket of 20 tokens that does not refill: one token per day does not, as long as
// the test takes.
var model = (&porcupine.NondeterministicModel{
	Init: func() []any { return []any{int64(modelBurst)} },
	Step: func(state, input, output any) []any {
		left, q, a := state.(int64), input.(question), output.(answer)
		allowed, before := true, left
		switch q.Kind {
		case ratelimit.OpCredit:
			left = min(left+q.Cost, modelBurst)
		case ratelimit.OpReset:
			left = modelBurst
		case ratelimit.OpTake:
			if allowed = q.Cost <= left; allowed {
				left -= q.Cost
			}
		default:
			allowed = q.Cost <= left
		}
		switch {
		case a.Unknown && left != before:
			return []any{before, left}
		case a.Unknown:
			return []any{left}
		case a.Allowed == allowed && a.Remaining == left:
			return []any{left}
		}
		return nil
	},
}).ToModel()

// history is the job of asking the store at random, and of writing down when. The clock is
// the system's, and does not step while it is read.
func (j *job) history() func(*atomic.Bool) outcome {
	store := j.store()
	l, err := ratelimit.NameLimit("r", 0, ratelimit.MustParse(j.Limits)[0])
	if err != nil {
		panic(err)
	}
	start := time.Now()
	now := func() int64 { return start.UnixNano() + int64(time.Since(start)) }
	return func(*atomic.Bool) (o outcome) {
		var mu sync.Mutex
		var all sync.WaitGroup
		for id := range j.Callers {
			all.Go(func() {
				for range j.Calls {
					q := question{ratelimit.OpKind(rand.IntN(3)), 1 + rand.Int64N(4)}
					if rand.IntN(20) == 0 {
						q = question{Kind: ratelimit.OpReset}
					}
					e := event{ID: cryptorand.Text(), Client: id, Question: q, Call: now()}
					e.Answer = j.question(context.WithValue(context.Background(), logID{}, e.ID), store, l, q)
					e.Return = now()
					mu.Lock()
					o.History = append(o.History, e)
					mu.Unlock()
					time.Sleep(j.Pause)
				}
			})
		}
		all.Wait()
		return o
	}
}

func (j *job) question(ctx context.Context, store ratelimit.Store, l *ratelimit.NamedLimit, q question) answer {
	ctx, cancel := context.WithTimeout(ctx, j.Config.StoreTimeout)
	defer cancel()
	ops := []ratelimit.Op{{Kind: q.Kind, Limit: l, Key: ratelimit.UserKey(j.User), Cost: q.Cost}}
	if err := store.Apply(ctx, ops); err != nil {
		return answer{Unknown: true}
	}
	r := ops[0].Result
	return answer{Allowed: r.Allowed, Remaining: r.Remaining, Reset: r.ResetAfter}
}

// operations returns a history as the checker wants it.
func operations(events []event) []porcupine.Operation {
	end := int64(0)
	for _, e := range events {
		end = max(end, e.Return)
	}
	var history []porcupine.Operation
	for _, e := range events {
		if e.Answer.Unknown {
			e.Return = end + 1
		}
		history = append(history, porcupine.Operation{ClientId: e.Client, Input: e.Question, Output: e.Answer, Call: e.Call, Return: e.Return})
	}
	return history
}

// histories has several processes use one bucket of server, which is stopped in between, and
// returns what they were told, and how much of it has an unknown outcome.
func histories(t *testing.T, server *redistest.Server, limits string, log bool) (events []event, unknown int) {
	t.Helper()
	const processes, callers, calls = 3, 2, 60
	var children []*child
	for range processes {
		children = append(children, startChild(t, job{
			Do: "history", Addr: server.Addr(), Limits: limits, User: "a", Log: log,
			Callers: callers, Calls: calls, Pause: 3 * time.Millisecond, Config: jobConfig{StoreTimeout: 250 * time.Millisecond},
		}))
	}
	for _, c := range children {
		c.begin()
	}
	require.Eventually(t, func() bool { // some of the calls are over, and most are still to come
		done := server.Calls()
		return done["eval"]+done["evalsha"] > processes*callers*calls/6
	}, soon, time.Millisecond)
	server.Pause()
	time.Sleep(300 * time.Millisecond)
	server.Resume()
	for n, c := range children {
		for _, e := range c.outcome().History {
			e.Client += n * callers
			if e.Answer.Unknown {
				// A client goes on, while what it asked may still happen: that is somebody else's.
				unknown++
				e.Client = processes*callers + unknown
			}
			events = append(events, e)
		}
	}
	assert.Len(t, events, processes*callers*calls)
	assert.Positive(t, unknown, "the server was not stopped")
	return events, unknown
}

// What several processes are told about one bucket, with the server stopped in between, is
// what they would be told one after another.
func TestOneKeyIsLinearizableAcrossProcesses(t *testing.T) {
	noLeaks(t)
	events, unknown := histories(t, redistest.Start(t), fmt.Sprintf("1 per day burst %d", modelBurst), false)
	begin := time.Now()
	result := porcupine.CheckOperationsTimeout(model, operations(events), time.Minute)
	t.Logf("%d operations, %d of unknown outcome: %v, checked in %v", len(events), unknown, result, time.Since(begin))
	require.Equal(t, porcupine.Ok, result)

	// The check can fail: one more token is left than there was.
	for n, e := range events {
		if !e.Answer.Unknown && e.Question.Kind == ratelimit.OpTake && e.Answer.Allowed {
			events[n].Answer.Remaining++
			break
		}
	}
	require.Equal(t, porcupine.Illegal, porcupine.CheckOperationsTimeout(model, operations(events), time.Minute))
}
