// Package postgresstore keeps token buckets in PostgreSQL, so that all instances of a service share
// one limit.
//
//	pool, err := pgxpool.ParseConfig(os.Getenv("DATABASE_URL"))
//	...
//	store, err := postgresstore.New(pool, postgresstore.Config{})
//	...
//	defer store.Close()
//	err = store.Migrate(ctx) // creates the tables
//	...
//	limiter, err := ratelimit.New(ratelimit.Config{
//		Store:          store,
//		OnStoreFailure: ratelimit.UseMemory,
//		Rules:          rules,
//	})
//
// A decision is one statement and one round trip for all limits of a request. Its clock is the
// server's, so the clocks of the instances do not matter. The README of this module says what the
// server needs, and what happens when it fails.
package postgresstore

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/ratelimit-go/ratelimit/store"
)

// Config configures a [Store]. The zero Config is valid.
type Config struct {
	_ [0]func() // not comparable, and no literals without field names

	// Schema is the schema in PostgreSQL that has the tables and functions. It has at most 40
	// letters a to z, digits and underscores, and begins with a letter. Empty means "ratelimit".
	// Services that share a schema share the buckets of rules that have the same name.
	Schema string
	// Logged says that Migrate makes tables that survive a crash and a failover. They write a log
	// and are slower. Otherwise all buckets are full after a crash or a failover.
	Logged bool
	// Secret, if not empty, is the key of an HMAC that stands for each client in the tables.
	// Otherwise a SHA-256 does, and a person who can read the tables can look for a known address
	// or user. Secret must be the same for all instances.
	Secret []byte
	// Conns is how many connections the Store opens at most: from 2 to 32. 0 means 3. Decisions
	// leave one of them to leases, and leases one to decisions. Each has one statement under way at
	// a time.
	Conns int
}

const (
	defaultConns = 3
	minConns     = 2
	maxConns     = 32
)

// Store is a [store.Store] and a [store.Leaser] in PostgreSQL (13 or later). It is safe for
// concurrent use. Its pool has goroutines of its own until Close.
//
// A batch is one statement, decided in one atomic step. Batches that wait for a connection are sent
// together. The Store sends a statement twice only if the server has rolled it back, so that
// nothing was taken.
//
// If the numbers of a limit change, old debts are paid at the faster of both rates.
type Store struct {
	schema   schema
	naming   naming
	server   *server
	combiner combiner
	leasing  chan struct{}         // a place for each statement for leases that is under way
	version  atomic.Pointer[Error] // why Verify last failed
	sql      struct{ apply, lease string }
}

var _ interface {
	store.Store
	store.Leaser
	store.Checker
} = (*Store)(nil)

var errNoPool = errors.New("postgresstore: the pool is nil: want the result of pgxpool.ParseConfig")

// New returns a Store with a pool of its own, as pool says. It sends nothing, so the server need
// not be up yet. It copies pool, and changes MaxConns, MinConns and MinIdleConns in the copy. If
// the ConnectTimeout is not set, it becomes a second. New reports all mistakes in cfg at once. Call
// Close to end the Store.
func New(pool *pgxpool.Config, cfg Config) (*Store, error) {
	var errs []error
	if pool == nil {
		errs = append(errs, errNoPool)
	}
	schema, err := newSchema(cfg.Schema, cfg.Logged)
	errs = append(errs, err)
	if cfg.Conns == 0 {
		cfg.Conns = defaultConns
	}
	if cfg.Conns < minConns || cfg.Conns > maxConns {
		errs = append(errs, fmt.Errorf("postgresstore: Config.Conns is %d: want %d to %d",
			cfg.Conns, minConns, maxConns))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	s := &Store{schema: schema, naming: naming{secret: append([]byte(nil), cfg.Secret...)}}
	if s.server, err = newServer(pool, int32(cfg.Conns), schema.fill(sqlWarm)); err != nil {
		return nil, fmt.Errorf("postgresstore: %w", err)
	}
	s.sql.apply = schema.fill("SELECT @SCHEMA@.apply_@VERSION@($1, $2, $3, $4, $5)")
	s.sql.lease = schema.fill("SELECT @SCHEMA@.lease_@VERSION@($1, $2, $3, $4, $5, $6)")
	s.combiner.most, s.leasing = cfg.Conns-1, make(chan struct{}, cfg.Conns-1)
	s.combiner.run = s.run
	s.combiner.sweep.Store(int64(time.Now().Nanosecond())) // instances begin at different blocks
	return s, nil
}

// Close closes the connections. It waits for calls under way. Calls that come later fail.
func (s *Store) Close() { s.server.pool.Close() }

// maxBatch is how many ops a batch may have. A statement for so many takes the server some
// milliseconds.
const maxBatch = 512

// Apply implements [store.Store]. If the server failed, or could not be reached, the error is an
// [*Error]. A batch of more than 512 ops is a [store.ErrInvalidOp].
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
	c := &call{ctx: ctx}
	c.names, c.words = s.batch(ops)
	if err := s.combiner.do(c); err != nil {
		return err
	}
	c.reply.report(ops)
	return nil
}

// Check implements [store.Checker]. It says that the limits of one request are too many, or that
// the last [Store.Verify] or [Store.Migrate] found the wrong version of the schema. It sends
// nothing.
func (s *Store) Check(limits []*store.Limit) error {
	if err := s.version.Load(); err != nil {
		return err
	}
	return checkBatch(len(limits))
}

func checkBatch(n int) error {
	if n > maxBatch {
		return fmt.Errorf("%w: postgresstore: a batch of %d: want at most %d",
			store.ErrInvalidOp, n, maxBatch)
	}
	return nil
}

// run sends one statement.
func (s *Store) run(ctx context.Context, stmt statement) ([]int64, error) {
	oids := []uint32{oidByteaArray, oidInt8Array, oidInt8Array, oidInt8Array, oidInt8}
	keys := make([][]byte, len(stmt.keys))
	for i := range keys {
		keys[i] = stmt.keys[i][:]
	}
	values := [][]byte{
		byteas(keys), bigints(stmt.firsts), bigints(stmt.limits), bigints(stmt.words),
		bigint(s.combiner.sweep.Load()),
	}
	all, err := retry(func() ([]int64, error) {
		answer, err := s.server.query(ctx, s.sql.apply, oids, values)
		if err != nil || answer == nil {
			return nil, err
		}
		return readBigints(answer)
	})
	return all, s.explain(ctx, err)
}
