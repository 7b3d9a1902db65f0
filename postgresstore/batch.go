package postgresstore

import (
	"bytes"
	"math"
	"time"

	"github.com/ratelimit-go/ratelimit/store"
)

// opWords is how many numbers the server reads per op, see sql/apply.sql.
const opWords = 14

// replyWords is how many it answers per op.
const replyWords = 3

// The places of the numbers of an op that others change.
const (
	wordBucket = 0
	wordSize   = 10
	wordPlain  = 11
	wordLeads  = 13
)

// batch returns the names of the buckets of ops, one per op, and ops as the server reads them,
// without the places of the buckets.
func (s *Store) batch(ops []store.Op) (names []name, words []int64) {
	names = make([]name, len(ops))
	words = make([]int64, 0, opWords*len(ops))
	var t tag
	plain := int64(1)
	for i := range ops {
		op := &ops[i]
		if i == 0 || op.Key != ops[i-1].Key {
			t = s.naming.tag(op.Key)
		}
		names[i] = t.bucket(op.Limit)
		burst, p := op.Limit.Burst(), paceOf(op.Limit)
		if op.Kind != store.Take || op.Cost < 1 || op.Cost > burst || seen(names[:i], names[i]) {
			plain = 0
		}
		cost, fill := p.timeOf(op.Cost), p.timeOf(burst)
		words = append(words, 0, int64(op.Kind), cost.ns, cost.frac, fill.ns, fill.frac,
			p.count, p.period, op.Cost, burst, 0, 0, head(op.Limit), 0)
	}
	for i := range ops {
		if l := ops[i].Limit; l.Index() == 0 && l.IsVersioned() {
			words[opWords*i+wordLeads] = inRow(names, names[i])
		}
	}
	words[wordSize], words[wordPlain] = int64(len(ops)), plain
	return names, words
}

// head returns the first number of a bucket that l has charged last, see sql/schema.sql.
func head(l *store.Limit) int64 {
	return int64(l.Index()+1) | min(l.Burst(), math.MaxUint32)<<8
}

// inRow returns how many of names, each counted once, are in the row of n.
func inRow(names []name, n name) (count int64) {
	for i := range names {
		if bytes.Equal(names[i][:len(n)-1], n[:len(n)-1]) && !seen(names[:i], names[i]) {
			count++
		}
	}
	return count
}

func seen(names []name, n name) bool {
	for i := range names {
		if names[i] == n {
			return true
		}
	}
	return false
}

// A reply is what the server answered to one batch: the wait and the debt of each op, and the paces
// of debts that are not at the pace of their limit.
type reply struct {
	words []int64
	paces map[int]pace
}

// report sets the Results of ops.
func (r *reply) report(ops []store.Op) {
	for i := range ops {
		op, w := &ops[i], r.words[replyWords*i:]
		wait, debt := w[0], span{w[1], w[2]}
		p, ok := r.paces[i]
		if !ok {
			p = paceOf(op.Limit)
		}
		op.Result = store.Result{
			Allowed:    wait == 0,
			Remaining:  p.left(debt, op.Limit.Burst()),
			ResetAfter: debt.ceil(),
		}
		if wait > 0 {
			op.Result.RetryAfter = time.Duration(wait)
		} else {
			op.Result.ExceedsBurst = wait < 0
		}
	}
}

// splitReply gives each call its part of the answer, and returns how many blocks were swept.
func splitReply(all []int64, calls []*call) (swept int64, err error) {
	ops := 0
	for _, c := range calls {
		ops += len(c.names)
	}
	const totals = 2
	if len(all) < replyWords*ops+totals || (len(all)-totals)%replyWords != 0 {
		return 0, errReply
	}
	for i, x := range all[:replyWords*ops] {
		if x < 0 && (i%replyWords > 0 || x < -1) { // only a wait may be -1, for ever
			return 0, errReply
		}
	}
	others := all[replyWords*ops+totals:]
	at := 0
	for _, c := range calls {
		n := len(c.names)
		c.reply = reply{words: all[replyWords*at : replyWords*(at+n)]}
		for i := 0; i < len(others); i += 3 {
			if op := int(others[i]) - at; op >= 0 && op < n {
				if c.reply.paces == nil {
					c.reply.paces = map[int]pace{}
				}
				if others[i+1] < 1 || others[i+2] < 1 {
					return 0, errReply
				}
				c.reply.paces[op] = pace{others[i+1], others[i+2]}
			}
		}
		at += n
	}
	return all[replyWords*ops], nil
}
