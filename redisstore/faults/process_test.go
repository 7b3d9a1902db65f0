package faults

import (
	"context"
	cryptorand "crypto/rand"
	"errors"
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
	"github.com/ratelimit-go/ratelimit/internal/testsize"
	"github.com/ratelimit-go/ratelimit/redisstore/internal/redistest"
	"github.com/ratelimit-go/ratelimit/store"
)

// serverTime returns the clock of the server.
func serverTime(t testing.TB, client *redis.Client) time.Time {
	t.Helper()
	now, err := client.Time(t.Context()).Result()
	require.NoError(t, err)
	return now
}

// Four processes of 64 goroutines use one key. Together they take exactly the tokens that are due,
// and no token that is due stays in the bucket.
func TestManyProcessesOnOneKey(t *testing.T) {
	noLeaks(t)
	const processes, goroutines, rate, burst = 4, 64, 500, 5000
	server := redistest.Start(t)
	client := server.Client()
	limits := fmt.Sprintf("%d per second burst %d", rate, burst)
	observer := newInstance(t, client, limits, ratelimit.Config{StoreTimeout: 30 * time.Second})
	var children []*child
	for range processes {
		children = append(children, startChild(t, job{
			Do: "take", Addr: server.Addr(), Limits: limits, Callers: goroutines, User: "a", Pause: 2 * time.Millisecond,
			Config: jobConfig{OnStoreFailure: ratelimit.FailClosed, StoreTimeout: 30 * time.Second},
		}))
	}
	// The bucket begins empty and is never full again, so no token that is due gets lost.
	early := serverTime(t, client)
	d, err := observer.Take(t.Context(), "r", ratelimit.UserKey("a"), burst)
	require.NoError(t, errors.Join(err, d.StoreErr))
	require.True(t, d.Allowed)
	late := serverTime(t, client)
	for _, c := range children {
		c.begin()
	}
	limit := nameLimit(t, 0, limits)
	rest := func() int64 { return left(t, observer.store, "a", limit) } // without the cache of the instance
	least := int64(burst)
	length := time.Duration(testsize.Of(3, 2)) * time.Second
	for time.Since(late) < length {
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
		got.Allowed, got.Denied, got.Closed = got.Allowed+o.Allowed, got.Denied+o.Denied, got.Closed+o.Closed
	}
	before := serverTime(t, client)
	inTheEnd := rest()
	after := serverTime(t, client)
	most, due := rate*after.Sub(early).Seconds(), rate*before.Sub(late).Seconds()
	t.Logf("%d processes of %d goroutines: %d allowed and %d left of %.1f to %.1f due in %v; %d denied; least left at any time %d",
		processes, goroutines, got.Allowed, inTheEnd, due, most, after.Sub(early), got.Denied, least)
	assert.Zero(t, got.Closed)
	assert.LessOrEqual(t, float64(got.Allowed+inTheEnd), most)
	assert.GreaterOrEqual(t, float64(got.Allowed+inTheEnd), due-1, "tokens got lost")
	assert.LessOrEqual(t, least, int64(rate/100), "a token that is due is taken")
}

// The server is killed, so four instances have only their memory. If each knows that it is one of
// four, they allow what one limit allows. If not, they allow four times as much.
func TestOnlyMemoryIsLeft(t *testing.T) {
	noLeaks(t)
	const processes, rate, burst = 4, 100, 200
	server := redistest.Start(t)
	start := func(instances int) (children []*child) {
		for range processes {
			children = append(children, startChild(t, job{
				Do: "take", Addr: server.Addr(), Limits: fmt.Sprintf("%d per second burst %d", rate, burst), Pause: 2 * time.Millisecond,
				Callers: 4, User: fmt.Sprint("one of ", instances),
				Config: jobConfig{OnStoreFailure: ratelimit.UseMemory, Instances: instances, StoreTimeout: 200 * time.Millisecond},
			}))
		}
		return children
	}
	groups := map[int][]*child{1: start(1), processes: start(processes)}
	begin := time.Now() // a busy server may fail even before it is killed
	for _, children := range groups {
		for _, c := range children {
			c.begin()
		}
	}
	client := server.Client()
	require.Eventually(t, func() bool { return client.DBSize(t.Context()).Val() >= 2 }, soon, 10*time.Millisecond)
	server.Kill()
	time.Sleep(time.Duration(testsize.Of(3000, 1500)) * time.Millisecond)
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
	t.Logf("%d processes in an outage of %v, in which one limit allows %.0f: %d allowed as one of %d, %d as if alone",
		processes, outage, due, got[processes], processes, got[1])
	assert.LessOrEqual(t, float64(got[processes]), due)
	assert.GreaterOrEqual(t, got[processes], int64(burst), "the part of each is a quarter")
	assert.LessOrEqual(t, float64(got[1]), processes*due)
	assert.Greater(t, got[1], got[processes])
}

// An instance restarts. In memory it begins with a full burst. In Redis it goes on where it was.
func TestInstanceRestarts(t *testing.T) {
	noLeaks(t)
	server := redistest.Start(t)
	run := func(addr string) int64 {
		c := startChild(t, job{
			Do: "take", Addr: addr, Limits: "10 per day", Callers: 1, Calls: 7, User: "a",
			Config: jobConfig{OnStoreFailure: ratelimit.FailClosed, StoreTimeout: 30 * time.Second},
		})
		c.begin()
		return c.outcome().Allowed
	}
	memory := []int64{run(""), run(""), run("")}
	shared := []int64{run(server.Addr()), run(server.Addr()), run(server.Addr())}
	server.Restart()
	shared = append(shared, run(server.Addr()))
	t.Logf("10 per day, 7 takes per process: in memory %v, in Redis %v, the last after a restart of the server", memory, shared)
	assert.Equal(t, []int64{7, 7, 7}, memory, "a burst per restart")
	assert.Equal(t, []int64{7, 3, 0, 7}, shared, "nothing is on disk, so a burst per restart of the server")
}

// An event is one op of a history, with its answer.
type (
	question struct {
		Kind store.Kind
		Cost int64
	}
	answer struct {
		Allowed   bool
		Remaining int64
		Reset     time.Duration
		Unknown   bool // no answer in time: the op may be done at any later time, or never
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

// model is a bucket of 20 tokens that does not refill: at one token per day it does not during the
// test.
var model = (&porcupine.NondeterministicModel{
	Init: func() []any { return []any{int64(modelBurst)} },
	Step: func(state, input, output any) []any {
		left, q, a := state.(int64), input.(question), output.(answer)
		allowed, before := true, left
		switch q.Kind {
		case store.Refund:
			left = min(left+q.Cost, modelBurst)
		case store.Reset:
			left = modelBurst
		case store.Take:
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

// history sends random ops to the store, and records when. It reads the clock of the system in a
// way that a step of the clock does not change.
func (j *job) history() func(*atomic.Bool) outcome {
	s := j.store()
	n := ratelimit.MustParse(j.Limits)[0]
	l, err := store.NewLimit("r", 0, n.Count, n.Period, n.Burst)
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
					q := question{store.Kind(rand.IntN(3)), 1 + rand.Int64N(4)}
					if rand.IntN(20) == 0 {
						q = question{Kind: store.Reset}
					}
					e := event{ID: cryptorand.Text(), Client: id, Question: q, Call: now()}
					e.Answer = j.question(context.WithValue(context.Background(), logID{}, e.ID), s, l, q)
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

func (j *job) question(ctx context.Context, s store.Store, l *store.Limit, q question) answer {
	ctx, cancel := context.WithTimeout(ctx, j.Config.StoreTimeout)
	defer cancel()
	ops := []store.Op{{Kind: q.Kind, Limit: l, Key: ratelimit.UserKey(j.User), Cost: q.Cost}}
	if err := s.Apply(ctx, ops); err != nil {
		return answer{Unknown: true}
	}
	r := ops[0].Result
	return answer{Allowed: r.Allowed, Remaining: r.Remaining, Reset: r.ResetAfter}
}

// operations returns a history in the form of the checker.
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
		history = append(history, porcupine.Operation{
			ClientId: e.Client, Input: e.Question, Output: e.Answer, Call: e.Call, Return: e.Return,
		})
	}
	return history
}

// histories lets several processes use one bucket of server, and stops the server in between. It
// returns their ops, and how many of these have no answer.
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
	require.Eventually(t, func() bool { // until a sixth of the calls are over
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
				// A client goes on while its op may still happen. So the op belongs to a client of
				// its own.
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

// The answers to several processes about one bucket, with the server stopped in between, are the
// answers to their ops in some order, one after another.
func TestOneKeyIsLinearizableAcrossProcesses(t *testing.T) {
	noLeaks(t)
	events, unknown := histories(t, redistest.Start(t), fmt.Sprintf("1 per day burst %d", modelBurst), false)
	begin := time.Now()
	result := porcupine.CheckOperationsTimeout(model, operations(events), time.Minute)
	t.Logf("%d operations, %d of unknown outcome: %v, checked in %v", len(events), unknown, result, time.Since(begin))
	require.Equal(t, porcupine.Ok, result)

	// The check can fail: here an answer says that one more token is left.
	for n, e := range events {
		if !e.Answer.Unknown && e.Question.Kind == store.Take && e.Answer.Allowed {
			events[n].Answer.Remaining++
			break
		}
	}
	require.Equal(t, porcupine.Illegal, porcupine.CheckOperationsTimeout(model, operations(events), time.Minute))
}
