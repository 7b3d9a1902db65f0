package ratelimit

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
)

// Limiter is a set of rules and a store. It is made by [New], and is safe for concurrent use.
// Its rules change only by [Limiter.Replace] and [Limiter.SetMode], and when a decorator
// adds some at start-up. It starts no goroutine and needs no closing.
type Limiter struct {
	cfg       Config
	memory    *MemoryStore        // the store, if it is one: it needs no deadline
	remote    *remote             // the store, if it is another
	local     func() *MemoryStore // in its place while it fails, with UseMemory
	table     atomic.Pointer[table]
	byName    atomic.Pointer[names]
	changing  sync.Mutex       // of table, byName and decorated
	decorated map[string]*rule // those that decorators have added
	scratch   sync.Pool
	permits   permits
	blocks    *blocks
	reporter
}

// New compiles cfg. The error joins a [*ConfigError] for every mistake there is.
func New(cfg Config) (*Limiter, error) {
	l := &Limiter{
		cfg: cfg, decorated: map[string]*rule{},
		blocks: newBlocks(maxBlocks, cfg.Store != nil), reporter: newReporter(cfg.OnError),
	}
	l.scratch.New = func() any { return new(check) }
	l.permits.seed = newHashSeed()
	switch store := cfg.Store.(type) {
	case nil:
		l.memory = NewMemoryStore(MemoryConfig{})
	case *MemoryStore:
		l.memory = store
	default:
		l.remote = newRemote(store, cmp.Or(cfg.StoreTimeout, defaultStoreTimeout))
	}
	l.local = sync.OnceValue(func() *MemoryStore { return NewMemoryStore(MemoryConfig{}) })
	var m mistakes
	cfg.check(&m)
	names := map[string]*rule{}
	t := compileTable(&m, cfg, names)
	if len(m) > 0 {
		return nil, errors.Join(m...)
	}
	l.table.Store(t)
	l.byName.Store(newNames(names))
	return l, nil
}

// rule returns the rule of that name, or nil.
func (l *Limiter) rule(name string) *rule {
	return l.byName.Load().find(name)
}

// Take takes cost tokens from the buckets of key under the named rule, all of them or none, and
// returns the decision. It needs no request, so the rule's Key, Cost, Skip and LimitsFor do not
// count, nor do the controls that need one, such as InFlight. It never waits: if the rule has a
// MaxWait, tokens that are not there yet are a refusal here. A rule that is [Off] allows everything.
// One that only observes the key takes the tokens that are there and allows everything too: what is
// left of the Decision, as its Reason and RetryAfter, is that of a rule that enforces, and OnObserved,
// which is for requests, is not called.
//
// The error says that there is no such rule, that key or cost is not valid, or that the store failed
// ([*StoreError]). If the store failed the Decision is what OnStoreFailure makes of it, and is to be obeyed
// all the same; otherwise it is not allowed.
func (l *Limiter) Take(ctx context.Context, rule string, key Key, cost int64) (d Decision, err error) {
	err = l.one(ctx, OpTake, rule, key, cost, &d)
	return d, err
}

// Peek returns the decision that Take would return for one token if the rule were enforced, whatever
// its mode, and takes none. Its errors are those of [Limiter.Take].
func (l *Limiter) Peek(ctx context.Context, rule string, key Key) (d Decision, err error) {
	err = l.one(ctx, OpPeek, rule, key, 1, &d)
	return d, err
}

// Credit gives cost tokens back to the buckets of key under the named rule, which never hold more
// than their burst. The error says that there is no such rule, that key or cost is not valid, or that
// the store failed ([*StoreError]).
func (l *Limiter) Credit(ctx context.Context, rule string, key Key, cost int64) error {
	return l.one(ctx, OpCredit, rule, key, cost, new(Decision))
}

// Reset makes the buckets of key under the named rule full, to let a user in again: those of limits
// that LimitsFor has chosen too. If the rule has a Penalty, it also does what [Limiter.Unblock] does.
// Its errors are those of [Limiter.Credit].
func (l *Limiter) Reset(ctx context.Context, rule string, key Key) error {
	return l.one(ctx, OpReset, rule, key, 0, new(Decision))
}

// one puts the decision on a single key into d, which is where the caller returns it
// from: it is large, and each copy of it costs as much as a lock.
func (l *Limiter) one(ctx context.Context, kind OpKind, name string, key Key, cost int64, d *Decision) error {
	r := l.rule(name)
	if r == nil {
		return fmt.Errorf("ratelimit: there is no rule %q", name)
	}
	p := r.plan
	if kind == OpReset && r.LimitsFor != nil {
		p = r.everyLimit()
	}
	if mode := r.mode(); mode != Enforce && kind == OpTake && !r.enforces(mode, key) {
		return l.takeObserved(ctx, mode, p, key, cost, d)
	}
	if r.MaxWait > 0 || r.penalty != nil {
		return l.oneControlled(ctx, r, p, kind, key, cost, d)
	}
	if l.memory != nil && l.memory.decideKnown(p.policies, kind, key, cost, d) {
		return nil
	}
	return l.check(ctx, kind, p, key, cost, d)
}

// check is one for keys that are new to the store, and for all other stores.
func (l *Limiter) check(ctx context.Context, kind OpKind, p *plan, key Key, cost int64, d *Decision) error {
	if err := p.checkTake(key, cost); err != nil {
		return err
	}
	c := l.getCheck()
	defer l.putCheck(c)
	c.add(p, key, cost, kind)
	err := l.apply(ctx, c)
	if !errors.Is(err, ErrInvalidOp) {
		c.decide(d)
	}
	return err
}

// checkTake finds what CheckOps would find if p had a limit.
func (p *plan) checkTake(key Key, cost int64) error {
	if len(p.policies) == 0 && (key.IsZero() || cost < 0) {
		return fmt.Errorf("%w: cost %d for the key %v: want a key, and a cost of 0 or more", ErrInvalidOp, cost, key)
	}
	return nil
}

// onStack bounds the limits of a rule that are decided on the stack, without a check: room for more
// would have to be cleared for each decision.
const onStack = 3

// decideKnown is one for a key whose buckets s holds, without a check. Otherwise it changes
// nothing and returns false.
func (s *MemoryStore) decideKnown(p []policy, kind OpKind, key Key, cost int64, d *Decision) bool {
	if len(p) == 0 || len(p) > onStack || cost < 0 || key.IsZero() {
		return false
	}
	if len(p) == 1 {
		var op Op // and not a literal, which would be copied
		op.Kind, op.Limit, op.Key, op.Cost = kind, p[0].NamedLimit, key, cost
		if !s.applyOne(&op) {
			return false
		}
		op.decide(d)
		return true
	}
	var few [onStack]Op
	ops := few[:len(p)]
	for i := range ops {
		op := &ops[i]
		op.Kind, op.Limit, op.Key, op.Cost = kind, p[i].NamedLimit, key, cost
	}
	if !s.applyFew(ops) {
		return false
	}
	strictest(ops).decide(d)
	return true
}

// apply has the store decide c, and does what was chosen if the store fails.
func (l *Limiter) apply(ctx context.Context, c *check) error {
	if len(c.ops) == 0 {
		return nil
	}
	if l.memory != nil {
		return l.memory.Apply(ctx, c.ops)
	}
	if err := CheckOps(c.ops); err != nil {
		return err
	}
	if err := l.askRemote(ctx, c.ops); err != nil {
		l.fail(ctx, c)
		return err
	}
	return nil
}

// askRemote has a store that is no MemoryStore decide ops, and reports what comes of it.
func (l *Limiter) askRemote(ctx context.Context, ops []Op) error {
	change, err := l.remote.apply(ctx, ops)
	if change != unchanged {
		l.report(ctx, &StoreChange{change.state()})
	}
	if err == nil {
		return nil
	}
	if err.Reason != FailureDown {
		l.report(ctx, err)
	}
	return err
}
