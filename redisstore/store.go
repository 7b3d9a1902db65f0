// Package redisstore keeps the buckets of package ratelimit in Redis or Valkey, so that
// all instances of a service share one limit.
//
// A decision is one script and one round trip for all limits of a request, and its clock
// is the server's: it makes no difference if the clocks of the instances disagree.
package redisstore

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/redis/go-redis/v9"

	"github.com/ratelimit-go/ratelimit"
)

// Config configures a [Store]. The zero Config is valid.
type Config struct {
	_ [0]func() // not comparable, and no literals without field names

	// Prefix begins the name of each key in Redis: at most 64 bytes, without braces. Empty
	// means "rl". Services that share a server share the buckets of rules of one
	// name, unless their prefixes differ.
	Prefix string
	// Secret, if not empty, is the key of the HMAC that stands for the identity in the
	// names of keys. Without it that is a plain SHA-256, by which whoever can read the names
	// can look for a known address or user. It must be the same for all instances.
	Secret []byte
	// Sharded says that the client spreads keys over several servers. New knows that of a
	// Cluster or a Ring of go-redis without being told.
	Sharded bool
}

// Store is a [ratelimit.Store] in Redis (5 or later) or Valkey. It is safe for concurrent
// use, starts no goroutine and does not own the client: closing that is the caller's.
//
// Each batch is one EVALSHA, or one EVAL where the server does not know the script yet. While
// two are under way, further batches wait, and are sent together as one when one of the
// two is back. Each is decided for itself all the same, and has its own deadline. Nothing is
// retried, whatever the client is told to retry, but the script that was not known: a take
// whose answer was lost may have been charged.
//
// On a Cluster, or a Ring, the buckets of one [ratelimit.Key] are together, and limits on it
// are decided in one step. Limits on different keys are asked one key after another, in three
// quarters of the time that there is; what was taken is given back if a later one refuses or fails, so
// that for a moment another request may be refused that would have been admitted. This is the
// only case that is not atomic.
//
// Time is that of the server, in microseconds. Within it every limit is kept exactly, if its
// bucket takes less than 2^52 ticks to fill: that is true of all counts up to a million per
// hour or 50,000 per day, and of larger round ones. Other limits admit less than they say, by
// less than Burst/2^50 of it, and never more. A bucket of more than 2^48 tokens is refused, as an
// invalid op. If the numbers of a limit change, what a bucket lacked when it was last charged stays spent, to
// within a token, and counts as having come back since then at the new rate.
type Store struct {
	combiner combiner
	naming   naming
}

var _ ratelimit.Store = (*Store)(nil)

// New returns a Store that uses client, which need not be connected yet: nothing is sent. It
// is an error if cfg is not valid or if the client's ContextTimeoutEnabled is not set: the
// deadline of a decision would not count, and a server that hangs would hang each request.
func New(client redis.UniversalClient, cfg Config) (*Store, error) {
	timeouts := true
	switch c := client.(type) {
	case nil:
		return nil, errors.New("redisstore: the client is nil")
	case *redis.Client:
		timeouts = c.Options().ContextTimeoutEnabled
	case *redis.ClusterClient:
		timeouts, cfg.Sharded = c.Options().ContextTimeoutEnabled, true
	case *redis.Ring:
		timeouts, cfg.Sharded = c.Options().ContextTimeoutEnabled, true
	}
	s, err := NewWith(goRedis{client}, cfg)
	if !timeouts {
		err = errors.Join(errors.New("redisstore: the client's option ContextTimeoutEnabled is false: want true, "+
			"or a server that hangs would hang each request for the client's ReadTimeout"), err)
	}
	if err != nil {
		return nil, err
	}
	return s, nil
}

// NewWith is [New] for another client than one of go-redis.
func NewWith(client Scripter, cfg Config) (*Store, error) {
	if client == nil {
		return nil, errors.New("redisstore: the client is nil")
	}
	if len(cfg.Prefix) > maxPrefix || strings.ContainsAny(cfg.Prefix, "{}") {
		return nil, fmt.Errorf("redisstore: Config.Prefix is %.80q: want at most %d bytes without braces", cfg.Prefix, maxPrefix)
	}
	return &Store{naming: newNaming(cfg), combiner: combiner{client: client, alone: cfg.Sharded}}, nil
}

// maxBatch is the number of ops that one batch may have: a script for so many takes the server
// some milliseconds.
const maxBatch = 512

// Apply implements [ratelimit.Store]. An error of the server or of the way to it is an
// [*Error].
func (s *Store) Apply(ctx context.Context, ops []ratelimit.Op) error {
	if err := ratelimit.CheckOps(ops); err != nil {
		return err
	}
	if len(ops) == 0 {
		return ctx.Err()
	}
	if len(ops) > maxBatch {
		return fmt.Errorf("%w: redisstore: a batch of %d: want at most %d", ratelimit.ErrInvalidOp, len(ops), maxBatch)
	}
	all := make([]terms, len(ops))
	for i := range ops {
		l := ops[i].Limit
		if l.Limit().Burst > maxBurst {
			return fmt.Errorf("%w: ops[%d] (rule %q): redisstore: a bucket of %d: want at most 2^48", ratelimit.ErrInvalidOp, i, l.Rule(), l.Limit().Burst)
		}
		all[i] = termsOf(l.Limit())
	}
	if s.combiner.alone && !oneKey(ops) {
		return s.applyByKey(ctx, ops, all)
	}
	return s.run(ctx, ops, all)
}

func oneKey(ops []ratelimit.Op) bool {
	for i := range ops {
		if ops[i].Key != ops[0].Key {
			return false
		}
	}
	return true
}

// run decides ops in one step.
func (s *Store) run(ctx context.Context, ops []ratelimit.Op, all []terms) error {
	reply, err := s.combiner.do(s.call(ctx, ops, all))
	if err != nil {
		return err
	}
	for i := range ops {
		ops[i].Result = all[i].result(&ops[i], reply[replySize*i:])
	}
	return nil
}

// call returns what the script is told of ops.
func (s *Store) call(ctx context.Context, ops []ratelimit.Op, all []terms) *call {
	c := &call{ctx: ctx, names: make([]string, 0, len(ops)), arg: make([]byte, 0, opSize*len(ops))}
	places := make([]place, len(ops))
	var t tag
	for i := range ops {
		op := &ops[i]
		if i == 0 || op.Key != ops[i-1].Key {
			t = s.naming.tag(op.Key)
		}
		key, bucket := firsts(ops, i)
		if key == i {
			c.names = append(c.names, s.naming.name(t, op.Limit.Rule()))
			key = len(c.names)
		} else {
			key = places[key].key
		}
		places[i] = place{limit: op.Limit.Index() + 1, key: key, bucket: bucket + 1}
	}
	places[0].key, places[0].bucket = len(c.names), len(ops)
	for i := range ops {
		c.arg = all[i].appendOp(c.arg, &ops[i], places[i])
	}
	return c
}

// firsts returns the first op on the key in Redis of op i, and the first on its bucket.
func firsts(ops []ratelimit.Op, i int) (key, bucket int) {
	op := &ops[i]
	key = i
	for j := range i {
		o := &ops[j]
		if o.Key != op.Key || o.Limit.Rule() != op.Limit.Rule() {
			continue
		}
		key = min(key, j)
		if o.Limit.Index() == op.Limit.Index() {
			return key, j
		}
	}
	return key, i
}
