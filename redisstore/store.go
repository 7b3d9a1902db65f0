// Package redisstore keeps token buckets in Redis or Valkey, so that all instances of a service
// share one limit.
//
//	client := redis.NewClient(&redis.Options{Addr: "localhost:6379", ContextTimeoutEnabled: true})
//	store, err := redisstore.New(client, redisstore.Config{Prefix: "shop"})
//	...
//	limiter, err := ratelimit.New(ratelimit.Config{
//		Store:          store,
//		OnStoreFailure: ratelimit.UseMemory,
//		Rules:          rules,
//	})
//
// A decision is one script and one round trip for all limits of a request. Its clock is the
// server's, so the clocks of the instances do not matter. The README of this module says what the
// server needs, and what happens when it fails.
package redisstore

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/redis/go-redis/v9"

	"github.com/ratelimit-go/ratelimit/store"
)

// Config configures a [Store]. The zero Config is valid.
type Config struct {
	_ [0]func() // not comparable, and no literals without field names

	// Prefix begins the name of every key in Redis. It has at most 64 bytes and no braces. Empty
	// means "rl". Services that share a server and a prefix share the buckets of rules that have
	// the same name.
	Prefix string
	// Secret, if not empty, is the key of an HMAC that stands for each client in the names of keys.
	// Otherwise a SHA-256 does, and a person who can read the names can look for a known address or
	// user. Secret must be the same for all instances.
	Secret []byte
	// Sharded says that the client spreads keys over several servers. New finds that out itself for
	// a Cluster or a Ring of go-redis, and assumes it for a client of a type that it does not know.
	Sharded bool
}

// Store is a [store.Store] and a [store.Leaser] in Redis (5 or later) or Valkey. It is safe for
// concurrent use and starts no goroutine. It does not close the client.
//
// A batch is one EVALSHA, decided in one atomic step. Batches that wait for the server are sent
// together. On a Cluster or a Ring, a batch on several keys takes one step per key. If a later key
// denies, the Store refunds what the earlier keys have paid. No command is retried, except a script
// that the server has rejected because its keys are on different slots. From then on the Store goes
// on as on a Cluster.
//
// If the numbers of a limit change, a bucket keeps what it lacked when it was last charged, also
// above a lower burst. The time since then counts at the rate of the instance that asks.
type Store struct {
	combiner combiner
	naming   naming
	shard    func(name string) string // the server of a key in Redis; nil: one server
}

var _ store.Store = (*Store)(nil)

var errNoTimeouts = errors.New("redisstore: the client's option ContextTimeoutEnabled is false: want true, " +
	"or a server that hangs would hang each request for the client's ReadTimeout")

// New returns a Store that uses client. It sends nothing, so the client need not be connected yet.
// New returns an error if cfg is invalid, or if ContextTimeoutEnabled of the client is not set: the
// client would ignore the deadline of a decision, and a server that hangs would hang each request.
func New(client redis.UniversalClient, cfg Config) (*Store, error) {
	if v := reflect.ValueOf(client); client == nil || v.Kind() == reflect.Pointer && v.IsNil() {
		return nil, errors.New("redisstore: the client is nil")
	}
	timeouts := true
	switch c := client.(type) {
	case *redis.Client:
		timeouts = c.Options().ContextTimeoutEnabled
	case *redis.ClusterClient:
		timeouts, cfg.Sharded = c.Options().ContextTimeoutEnabled, true
	case *redis.Ring:
		timeouts, cfg.Sharded = c.Options().ContextTimeoutEnabled, true
	default: // it may wrap a Ring, which would send a script for many keys to one of its servers
		cfg.Sharded = true
	}
	s, err := NewWith(newGoRedis(client), cfg)
	if !timeouts {
		err = errors.Join(errNoTimeouts, err)
	}
	if err != nil {
		return nil, err
	}
	return s, nil
}

// NewWith is [New] for a client that is not of go-redis.
func NewWith(client Scripter, cfg Config) (*Store, error) {
	if client == nil {
		return nil, errors.New("redisstore: the client is nil")
	}
	if len(cfg.Prefix) > maxPrefix || strings.ContainsAny(cfg.Prefix, "{}") {
		return nil, fmt.Errorf("redisstore: Config.Prefix is %.80q: want at most %d bytes without braces",
			cfg.Prefix, maxPrefix)
	}
	s := &Store{naming: newNaming(cfg), combiner: combiner{client: client}}
	if cfg.Sharded {
		s.combiner.alone.Store(true)
		s.shard = slotGroup
		if c, ok := client.(interface{ shard(name string) string }); ok {
			s.shard = c.shard
		}
	}
	return s, nil
}

// maxBatch is how many ops a batch may have. A script for so many takes the server some
// milliseconds.
const maxBatch = 512

// Apply implements [store.Store]. If the server failed, or could not be reached, the error is an
// [*Error]. A batch of more than 512 ops, and a burst above 2^48, is a [store.ErrInvalidOp].
func (s *Store) Apply(ctx context.Context, ops []store.Op) error {
	if err := store.CheckOps(ops); err != nil {
		return err
	}
	if len(ops) == 0 {
		return ctx.Err()
	}
	if err := checkBatch(len(ops)); err != nil {
		return err
	}
	all := make([]terms, len(ops))
	for i := range ops {
		if err := checkLimit(i, ops[i].Limit); err != nil {
			return err
		}
		all[i] = termsOf(ops[i].Limit)
	}
	err := s.apply(ctx, ops, all)
	if s.combiner.mustSplit(err) {
		err = s.apply(ctx, ops, all)
	}
	return err
}

func (s *Store) apply(ctx context.Context, ops []store.Op, all []terms) error {
	if s.combiner.alone.Load() && !oneKey(ops) {
		return s.applyByKey(ctx, ops, all)
	}
	return s.run(ctx, ops, all)
}

// Check says which of limits the store cannot hold, or that they are too many for one request.
// ratelimit.New calls it.
func (s *Store) Check(limits []*store.Limit) error {
	if err := checkBatch(len(limits)); err != nil {
		return err
	}
	for i, l := range limits {
		if err := checkLimit(i, l); err != nil {
			return err
		}
	}
	return nil
}

func checkBatch(n int) error {
	if n > maxBatch {
		return fmt.Errorf("%w: redisstore: a batch of %d: want at most %d", store.ErrInvalidOp, n, maxBatch)
	}
	return nil
}

func checkLimit(i int, l *store.Limit) error {
	if l.Burst() > maxBurst {
		return fmt.Errorf("%w: ops[%d] (rule %q): redisstore: a bucket of %d: want at most 2^48",
			store.ErrInvalidOp, i, l.Rule(), l.Burst())
	}
	return nil
}

func oneKey(ops []store.Op) bool {
	for i := range ops {
		if ops[i].Key != ops[0].Key {
			return false
		}
	}
	return true
}

// run decides ops in one step. The script is quickest if the ops on a rule come in the order of its
// limits.
func (s *Store) run(ctx context.Context, ops []store.Op, all []terms) error {
	byIndex := func(a, b store.Op) int { return cmp.Compare(a.Limit.Index(), b.Limit.Index()) }
	if len(ops) == 1 || slices.IsSortedFunc(ops, byIndex) || !oneBucketEach(ops) {
		return s.decide(ctx, ops, all)
	}
	sorted := slices.Clone(ops)
	slices.SortFunc(sorted, byIndex)
	for i := range sorted {
		all[i] = termsOf(sorted[i].Limit)
	}
	if err := s.decide(ctx, sorted, all); err != nil {
		return err
	}
	for i := range sorted {
		for j := range ops {
			if ops[j].Limit.Index() == sorted[i].Limit.Index() {
				ops[j].Result = sorted[i].Result
			}
		}
	}
	return nil
}

// oneBucketEach reports whether ops are on different limits of one rule, and on one key.
func oneBucketEach(ops []store.Op) bool {
	if len(ops) > 16 || !oneKey(ops) {
		return false
	}
	for i := range ops {
		if key, bucket := firsts(ops, i); key != 0 || bucket != i {
			return false
		}
	}
	return true
}

// decide decides ops in one step.
func (s *Store) decide(ctx context.Context, ops []store.Op, all []terms) error {
	reply, err := s.combiner.do(s.call(ctx, ops, all))
	if err != nil {
		return err
	}
	for i := range ops {
		ops[i].Result = all[i].result(&ops[i], reply[replySize*i:])
	}
	return nil
}

// call returns ops as the script reads them.
func (s *Store) call(ctx context.Context, ops []store.Op, all []terms) *call {
	c := &call{ctx: ctx, names: make([]string, 0, len(ops)), arg: make([]byte, 0, opSize*len(ops))}
	var few [4]place // without an allocation
	places := few[:min(len(ops), len(few))]
	if len(ops) > len(few) {
		places = make([]place, len(ops))
	}
	var t tag
	for i := range ops {
		op := &ops[i]
		if i == 0 || op.Key != ops[i-1].Key {
			t = s.naming.tag(op.Key)
		}
		key, bucket := firsts(ops, i)
		if key == i {
			c.names = append(c.names, s.naming.buckets(t, op.Limit.Rule()))
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

// firsts returns the first op on the same key in Redis as op i, and the first on the same bucket.
func firsts(ops []store.Op, i int) (key, bucket int) {
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
