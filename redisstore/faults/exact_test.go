package faults

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit/redisstore/internal/redistest"
	"github.com/ratelimit-go/ratelimit/store"
)

// logID is the context key for the name of a call in the log.
type logID struct{}

// logged is a hook that makes the server keep a list of the TIME that each call has read.
type logged struct{ inFlight }

const logging = `local redis = setmetatable({call = function(name, ...)
  local answer = redis.call(name, ...)
  if string.upper(name) == 'TIME' then
    redis.call('RPUSH', 'log', '%s ' .. string.format('%%.0f', answer[1] * 1000000 + answer[2]))
  end
  return answer
end}, {__index = redis})
`

func (*logged) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		switch args := cmd.Args(); strings.ToLower(fmt.Sprint(args[0])) {
		case "evalsha":
			args[1] = strings.Repeat("0", 40) // so that the client must send the text
		case "eval":
			args[1] = fmt.Sprintf(logging, ctx.Value(logID{})) + fmt.Sprint(args[1])
		}
		return next(ctx, cmd)
	}
}

const (
	exactBurst = 20
	tokenTime  = 10_000 // microseconds: 100 per second
)

// A level is a bucket of the reference: the time until it is full, at an instant.
type level struct{ debt, at int64 }

// A timed answer has the server's clock at the decision.
type timed struct {
	answer
	at int64
}

// exact is a bucket of 100 tokens per second, burst 20, by the server's clock.
var exact = porcupine.Model{
	Init: func() any { return level{} },
	Step: func(state, input, output any) (bool, any) {
		was, q, a := state.(level), input.(question), output.(timed)
		if a.at < was.at {
			return false, was
		}
		debt := max(was.debt-(a.at-was.at), 0)
		allowed, cost := true, q.Cost*tokenTime
		switch q.Kind {
		case store.Refund:
			debt = max(debt-cost, 0)
		case store.Reset:
			debt = 0
		default:
			allowed = debt+cost <= exactBurst*tokenTime
			if allowed && q.Kind == store.Take {
				debt += cost
			}
		}
		remaining := (exactBurst*tokenTime - debt) / tokenTime
		want := answer{Allowed: allowed, Remaining: remaining, Reset: time.Duration(debt) * time.Microsecond}
		return a.Unknown || a.answer == want, level{debt, a.at}
	},
}

// All answers to several processes about one bucket are exact to the microsecond of the server's
// clock. An op without an answer was charged once or not at all.
func TestOneKeyIsExactAcrossProcesses(t *testing.T) {
	noLeaks(t)
	server := redistest.Start(t)
	events, unknown := histories(t, server, fmt.Sprintf("100 per second burst %d", exactBurst), true)
	clock := map[string]int64{}
	for _, line := range redistest.Do[[]any](t, server, "lrange", "log", 0, -1) {
		id, at, _ := strings.Cut(line.(string), " ")
		require.NotContains(t, clock, id, "decided twice")
		var err error
		clock[id], err = strconv.ParseInt(at, 10, 64)
		require.NoError(t, err)
	}
	var history []porcupine.Operation
	never := 0
	for n, o := range operations(events) {
		at, done := clock[events[n].ID]
		if !done {
			require.True(t, events[n].Answer.Unknown)
			never++
			continue
		}
		o.Output = timed{events[n].Answer, at}
		history = append(history, o)
	}
	t.Logf("%d operations, %d of unknown outcome, %d of these never done", len(events), unknown, never)
	require.True(t, porcupine.CheckOperations(exact, history))

	// The check can fail: here an answer says that one more token is left.
	for n, o := range history {
		if a := o.Output.(timed); !a.Unknown {
			a.Remaining++
			history[n].Output = a
			break
		}
	}
	require.False(t, porcupine.CheckOperations(exact, history))
}
