package postgresstore

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/ratelimit-go/ratelimit/store"
)

const (
	// connectTimeout is how long a dial may take if the connection string does not say. A
	// connection that the network has swallowed must not hold its place in the pool for longer.
	connectTimeout = time.Second

	// maxTries is how often a statement is sent that the server rolled back by itself.
	maxTries = 5

	// renewEvery is the shortest time between two replacements of all connections.
	renewEvery = 100 * time.Millisecond
)

var errCrowded = errors.New("other transactions were creating the same buckets each time")

// A server is the pool of connections to PostgreSQL.
//
// A dial belongs to the pool. It goes on when the call that asked for it has left, so short
// deadlines do not keep the pool empty.
type server struct {
	pool    *pgxpool.Pool
	origin  time.Time
	renewed atomic.Int64 // when all connections were last replaced, since origin
	heard   atomic.Int64 // when a statement was last answered, since origin
}

func newServer(cfg *pgxpool.Config, conns int32, warmUp string) (*server, error) {
	cfg = cfg.Copy()
	after := cfg.AfterConnect
	cfg.AfterConnect = func(ctx context.Context, conn *pgx.Conn) error {
		if after != nil {
			if err := after(ctx, conn); err != nil {
				return err
			}
		}
		return warm(ctx, conn.PgConn(), warmUp)
	}
	cfg.MaxConns, cfg.MinConns, cfg.MinIdleConns = conns, 0, 0
	if cfg.ConnConfig.ConnectTimeout == 0 {
		cfg.ConnConfig.ConnectTimeout = connectTimeout
	}
	pool, err := pgxpool.NewWithConfig(context.Background(), cfg)
	if err != nil {
		return nil, err
	}
	return &server{pool: pool, origin: time.Now().Add(-renewEvery)}, nil
}

// warm lets a new backend of the server compile and plan the functions, which may take longer than
// a decision has. It undoes what it does. If it fails, the first decision says why.
func warm(ctx context.Context, conn *pgconn.PgConn, sql string) error {
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	_, _ = conn.Exec(ctx, sql).ReadAll()
	if conn.IsClosed() || conn.TxStatus() != 'I' {
		_, err := conn.Exec(ctx, "ROLLBACK").ReadAll()
		return err
	}
	return nil
}

// query sends one statement, and returns the only value of its only row. It is one round trip. The
// statement has no name, so that it needs nothing of a connection that it finds: a PgBouncer may
// give each statement another one.
func (s *server) query(ctx context.Context, sql string, oids []uint32, values [][]byte) ([]byte, error) {
	conn, err := s.pool.Acquire(ctx)
	if err != nil {
		return nil, err // that says nothing about the other connections
	}
	defer conn.Release()
	began := s.now()
	formats := []int16{1}
	result := conn.Conn().PgConn().ExecParams(ctx, sql, values, oids, formats, formats).Read()
	if result.Err != nil {
		s.suspect(result.Err, began)
		return nil, result.Err
	}
	s.heard.Store(s.now())
	if len(result.Rows) != 1 || len(result.Rows[0]) != 1 {
		return nil, errReply
	}
	return result.Rows[0][0], nil
}

// suspect replaces all connections if err, of a statement that began at an instant, says that they
// may be dead, or lead to the wrong server. Dialed again, a name may lead to another server. If
// another statement was answered meanwhile, or the server itself ended this one, a timeout was the
// matter of this one alone.
func (s *server) suspect(err error, began int64) {
	switch reasonOf(err) {
	case store.ReasonConnect, store.ReasonReadOnly, store.ReasonAuth:
	case store.ReasonTimeout:
		if s.heard.Load() >= began || codeOf(err) != "" || errors.Is(err, context.Canceled) {
			return
		}
	default:
		return
	}
	now := s.now()
	if old := s.renewed.Load(); now-old >= int64(renewEvery) && s.renewed.CompareAndSwap(old, now) {
		s.pool.Reset()
	}
}

// now returns the time since origin.
func (s *server) now() int64 { return int64(time.Since(s.origin)) }

// retry calls query until it is decided. It repeats only what the server has rolled back for sure.
func retry(query func() ([]int64, error)) ([]int64, error) {
	for n := 1; ; n++ {
		all, err := query()
		switch code := codeOf(err); {
		case err == nil && all != nil:
			return all, nil
		case err != nil && code != serializationFailure && code != deadlockDetected:
			return nil, err
		case n == maxTries && err == nil:
			return nil, errCrowded
		case n == maxTries:
			return nil, err
		}
	}
}
