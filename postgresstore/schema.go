package postgresstore

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/ratelimit-go/ratelimit/store"
)

// schemaVersion is part of the name of every function, so that instances of two versions can work
// on the same tables.
const schemaVersion = 1

var (
	//go:embed sql/schema.sql
	sqlTables string
	//go:embed sql/apply.sql
	sqlApply string
	//go:embed sql/general.sql
	sqlGeneral string
	//go:embed sql/sweep.sql
	sqlSweep string
	//go:embed sql/lease.sql
	sqlLease string
	//go:embed sql/warm.sql
	sqlWarm string
)

const defaultSchema = "ratelimit"

var schemaName = regexp.MustCompile(`^[a-z][a-z0-9_]{0,39}$`)

// A schema is what the SQL of this package depends on.
type schema struct {
	name   string
	logged bool
}

func newSchema(name string, logged bool) (schema, error) {
	if name == "" {
		name = defaultSchema
	}
	if !schemaName.MatchString(name) {
		return schema{}, fmt.Errorf("postgresstore: Config.Schema is %.80q: "+
			"want at most 40 of a to z, 0 to 9 and _, a letter first", name)
	}
	return schema{name, logged}, nil
}

// fill puts s into a text.
func (s schema) fill(text string) string {
	unlogged, logged := "UNLOGGED", ""
	if s.logged {
		// A crash may lose the takes of the last moments. No decision waits for the disk.
		unlogged, logged = "", "\n  PERFORM set_config('synchronous_commit', 'off', true);"
	}
	return strings.NewReplacer(
		"@SCHEMA@", `"`+s.name+`"`, "@VERSION@", strconv.Itoa(schemaVersion),
		"@UNLOGGED@", unlogged, "@LOGGED@", logged, "@GENERAL@\n", sqlGeneral,
	).Replace(text)
}

func (s schema) text() string {
	body := strings.ReplaceAll(sqlApply, "@GENERAL@\n", sqlGeneral)
	return s.fill(strings.Join([]string{sqlTables, sqlSweep, body, sqlLease, sqlVersion}, "\n"))
}

const sqlVersion = `INSERT INTO @SCHEMA@.version (version) SELECT @VERSION@
WHERE NOT EXISTS (SELECT FROM @SCHEMA@.version WHERE version = @VERSION@);
`

// sqlComplete reports whether all is there that decisions and leases may need. A restore or a
// person may have left out a part.
const sqlComplete = `SELECT num_nulls(
  to_regclass('@SCHEMA@.buckets'), to_regclass('@SCHEMA@.leases'),
  to_regprocedure('@SCHEMA@.now_@VERSION@()'),
  to_regprocedure('@SCHEMA@.sweep_@VERSION@(bigint, integer, bigint)'),
  to_regprocedure('@SCHEMA@.convert_@VERSION@(bigint, bigint, bigint, bigint, bigint, bigint)'),
  to_regprocedure('@SCHEMA@.apply_@VERSION@(bytea[], bigint[], bigint[], bigint[], bigint)'),
  to_regprocedure('@SCHEMA@.lease_@VERSION@(integer, bytea[], bytea[], bigint[], bigint[], bigint[])')
) = 0`

// Schema returns the SQL that [Store.Migrate] executes, for a tool that manages migrations. Of cfg
// it reads Schema and Logged. The SQL may be executed again and again. Execute it in one
// transaction.
func Schema(cfg Config) (string, error) {
	s, err := newSchema(cfg.Schema, cfg.Logged)
	if err != nil {
		return "", err
	}
	return s.text(), nil
}

// Migrate creates the schema, its tables and its functions, or brings them to the version of this
// package. It may be called by all instances at once, and again at each start: if nothing is to do,
// it changes nothing. It does not touch a schema that is newer. Logged has an effect only when the
// tables are created.
func (s *Store) Migrate(ctx context.Context) error {
	if err := s.Verify(ctx); err == nil || !errors.Is(err, ErrVersion) {
		return err
	}
	conn, err := s.server.pool.Acquire(ctx)
	if err != nil {
		return newError(err)
	}
	defer conn.Release()
	// One message without parameters is one transaction. The lock is for other instances.
	sql := fmt.Sprintf("SELECT pg_advisory_xact_lock(hashtext('postgresstore %s'));\n", s.schema.name) +
		s.schema.text()
	if _, err := conn.Conn().PgConn().Exec(ctx, sql).ReadAll(); err != nil {
		return newError(err)
	}
	return s.Verify(ctx)
}

// ErrVersion is wrapped by the error of a [Store] whose schema in PostgreSQL is not there, or has
// another version than this package needs.
var ErrVersion = errors.New("the schema has the wrong version")

// Verify reports whether the schema in PostgreSQL has the version that this package needs, with all
// functions and tables. A schema that is newer is all right if it kept the functions of this
// version. Call it at the start where another tool than [Store.Migrate] makes the schema.
// Afterwards ratelimit.New reports the error too, see [Store.Check].
func (s *Store) Verify(ctx context.Context) error {
	err := s.verify(ctx)
	s.version.Store(nil)
	if errors.Is(err, ErrVersion) {
		s.version.Store(newError(err))
	}
	if err != nil {
		return newError(err)
	}
	return nil
}

func (s *Store) verify(ctx context.Context) error {
	answer, err := s.server.query(ctx, s.schema.fill(sqlComplete), nil, nil)
	if err != nil {
		return err
	}
	if len(answer) == 1 && answer[0] == 1 {
		return nil
	}
	const found = "SELECT max(version)::bigint FROM @SCHEMA@.version"
	answer, err = s.server.query(ctx, s.schema.fill(found), nil, nil)
	switch code := codeOf(err); {
	case code == undefinedTable || code == undefinedSchema || err == nil && len(answer) != 8:
		return s.wrongVersion("is not there", "call Store.Migrate, or apply the SQL of Schema")
	case err != nil:
		return err
	}
	got := int64(0)
	for _, b := range answer {
		got = got<<8 | int64(b)
	}
	switch {
	case got < schemaVersion:
		return s.wrongVersion(fmt.Sprintf("has version %d, which is older", got),
			"call Store.Migrate, or apply the SQL of Schema")
	case got > schemaVersion:
		return s.wrongVersion(fmt.Sprintf("has version %d, which is newer", got),
			"update the module postgresstore")
	}
	return s.wrongVersion("has lost functions or tables", "call Store.Migrate, or apply the SQL of Schema")
}

func (s *Store) wrongVersion(what, todo string) error {
	return &Error{Reason: store.ReasonScript, Err: fmt.Errorf("%w: schema %q %s: want version %d: %s",
		ErrVersion, s.schema.name, what, schemaVersion, todo)}
}

// explain returns err, or what is wrong with the schema if err may come from that.
func (s *Store) explain(ctx context.Context, err error) error {
	switch codeOf(err) {
	case undefinedFunction, undefinedTable, undefinedSchema:
		if found := s.verify(ctx); errors.Is(found, ErrVersion) {
			return found
		}
	}
	return err
}
