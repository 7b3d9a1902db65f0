-- The tables of package postgresstore, version @VERSION@. Run it as often as you like.

CREATE SCHEMA IF NOT EXISTS @SCHEMA@;

CREATE TABLE IF NOT EXISTS @SCHEMA@.version (version integer NOT NULL);

DO $check$
DECLARE found integer := (SELECT max(version) FROM @SCHEMA@.version);
BEGIN
  IF found > @VERSION@ THEN
    RAISE EXCEPTION 'the schema has version %, which is newer than @VERSION@', found
      USING ERRCODE = 'object_not_in_prerequisite_state';
  END IF;
END
$check$;

-- A row has the buckets of all limits of a rule, for one client. A bucket is five numbers of s:
--
--   1. The index of its limit in the rule, plus 1, and 256 times the burst of the limit that charged
--      the bucket last, or 256 times 4294967295 for a larger burst.
--   2. When it is full.
--   3. The bucket is full so many 1/count nanoseconds later.
--   4. and 5. Count and period: count tokens per period flow in, in lowest terms. A bucket that was
--      never charged has 0 for both.
--
-- A bucket that is not there is full. All instants are nanoseconds since 1970.
CREATE @UNLOGGED@ TABLE IF NOT EXISTS @SCHEMA@.buckets (
  full_at bigint   NOT NULL, -- when all buckets are full
  at      bigint   NOT NULL, -- when the row was written; the clock may have gone back since
  k       bytea    NOT NULL PRIMARY KEY, -- 16 bytes for the client, 8 for the rule
  s       bigint[] NOT NULL CHECK (cardinality(s) % 5 = 0 AND array_position(s, NULL) IS NULL)
) WITH (
  fillfactor = 70, -- an update stays on its page, and touches no index
  autovacuum_vacuum_threshold = 10000,
  autovacuum_vacuum_scale_factor = 0.02,
  autovacuum_vacuum_cost_delay = 0,
  vacuum_truncate = false -- which would lock out all decisions
);

-- A row is the lease of one request in flight.
CREATE @UNLOGGED@ TABLE IF NOT EXISTS @SCHEMA@.leases (
  ends bigint NOT NULL, -- nanoseconds since 1970
  k    bytea  NOT NULL, -- as in buckets
  id   bytea  NOT NULL,
  PRIMARY KEY (k, id)
) WITH (
  autovacuum_vacuum_threshold = 1000,
  autovacuum_vacuum_scale_factor = 0.1,
  autovacuum_vacuum_cost_delay = 0,
  vacuum_truncate = false
);

CREATE INDEX IF NOT EXISTS leases_ends ON @SCHEMA@.leases (ends);

-- The clock of all decisions.
CREATE OR REPLACE FUNCTION @SCHEMA@.now_@VERSION@() RETURNS bigint LANGUAGE sql VOLATILE AS
$$ SELECT (date_part('epoch', clock_timestamp()) * 1000000)::bigint * 1000 $$;
