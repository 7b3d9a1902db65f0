-- convert_@VERSION@ returns the span in which tcount tokens per tperiod flow in as often as fcount
-- per fperiod do in a span of ns and frac: rounded up, in whole nanoseconds and 1/tcount. With 1 and
-- 1 for fcount and fperiod it returns the time of ns tokens. A span too long for a number is cut.
CREATE OR REPLACE FUNCTION @SCHEMA@.convert_@VERSION@(
  ns bigint, frac bigint, fcount bigint, fperiod bigint, tcount bigint, tperiod bigint
) RETURNS bigint[] LANGUAGE plpgsql IMMUTABLE AS $body$
DECLARE
  ticks numeric := div((ns::numeric * fcount + frac) * tperiod + fperiod - 1, fperiod);
  most CONSTANT bigint := 4000000000000000000; -- two of them and an instant of today are a bigint
BEGIN
  IF ticks >= most::numeric * tcount THEN
    RETURN ARRAY[most, 0];
  END IF;
  RETURN ARRAY[div(ticks, tcount), mod(ticks, tcount)]::bigint[];
END
$body$;

-- apply_@VERSION@ decides batches of ops, one after another: of each batch all ops are applied, or
-- none. It is package store's Bucket.
--
-- keys are the keys of all rows, sorted, each once. firsts says for each of them, and for the end,
-- which bucket is its first, from 1 on. limits has the index of the limit of each bucket, plus 1. ops
-- are 14 numbers for each op:
--
--  1 the bucket, from 1 on          5, 6 the span in which the bucket fills   9 the tokens
--  2 the kind                       7 count                                  10 the burst
--  3, 4 the span of the tokens      8 period                                 11 the size of the batch
--                                                                            12 whether it is plain
-- 13 the place of the limit, and the burst, as in a row: see schema.sql
-- 14 of an op that leads: how many buckets of its row the batch has ops for, otherwise 0
--
-- A span is whole nanoseconds and a numerator over count. A plain batch has only takes, of 1 token
-- to the whole burst, from different buckets. An op leads if its limit has index 0 and may be in use
-- in several versions: see Carry in package store. If an op of a plain batch leads in a row, no other
-- batch of the statement has ops for other buckets of the row. sweep is a block of the table.
--
-- The result has 3 numbers for each op: for how many nanoseconds to wait, or -1 if for ever, and
-- the debt of the bucket after the batch. Two follow: how many blocks were swept, and how many
-- rows are new. Then come 3 numbers for each op whose debt is at another pace than its limit: the op,
-- count and period. The result is null if another transaction was just creating a row. Nothing
-- has changed then, and the call may be repeated.
--
-- The rows are locked in the order of keys, by all transactions, so there is no deadlock: a row is
-- inserted only after all locks were taken, an insert waits for nothing but other inserts, and rows
-- are removed last, without waiting.
CREATE OR REPLACE FUNCTION @SCHEMA@.apply_@VERSION@(
  keys bytea[], firsts bigint[], limits bigint[], ops bigint[], sweep bigint
) RETURNS bigint[] LANGUAGE plpgsql VOLATILE
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off
SET enable_hashjoin = off
SET enable_mergejoin = off
AS $body$
DECLARE
  swing CONSTANT bigint := 10000000000; -- see below
  width CONSTANT integer := 14;
  late CONSTANT bigint := 7000000000000000000; -- no bucket is full so late
  unknown CONSTANT bigint := -late - 1; -- when a bucket is full that cannot be read
  n integer := cardinality(ops) / 14;
  nkeys integer := cardinality(keys);
  -- By row: where it is, when it was written, where its part of w begins, whether to write it.
  tids tid[] := array_fill(NULL::tid, ARRAY[nkeys]);
  ats bigint[] := array_fill(0::bigint, ARRAY[nkeys]);
  starts integer[]; ends integer[]; dirty boolean[] := array_fill(false, ARRAY[nkeys]);
  fulls bigint[] := ats;
  -- By bucket: its row, and where it is in w, which has the buckets of all rows.
  rows integer[]; locs integer[]; w bigint[] := '{}';
  -- By op that the batch may have to undo.
  ub integer[]; uf bigint[]; ug bigint[]; uc bigint[]; up bigint[]; uh bigint[]; ud boolean[]; u integer;
  -- Whether a row has buckets without an op, and whether any of them need not be written.
  crowded boolean := false; emptied boolean := false;
  -- By bucket without an op: the op that leads in its row, and where it is in w.
  kz integer[]; kl integer[]; lead integer; kin integer; mine integer[]; sources integer[]; busy boolean;
  century CONSTANT bigint := 3153600000000000000; -- the longest time that a bucket takes to fill
  r record; part bigint[]; base integer := 0; size integer; place bigint; row integer; next integer := 1;
  now bigint; latest bigint := 0; skewed boolean := false; broken boolean := false; known boolean;
  first integer := 0; last integer; o integer; b integer; l integer; kind integer; x bigint[];
  cns bigint; cfr bigint; fns bigint; ffr bigint; cnt bigint; per bigint; cost bigint; burst bigint;
  c bigint; p bigint; d bigint; g bigint; a bigint; h bigint; wait bigint;
  plain boolean; denied boolean; own boolean; ok boolean;
  wanted integer; fresh integer := 0; freshtids tid[]; written integer; blocks integer;
  res bigint[] := array_fill(0::bigint, ARRAY[3 * n + 2]);
BEGIN
  -- Lock and read.
  FOR r IN
    SELECT k.row, t.ctid, t.at, t.full_at,
      CASE WHEN array_lower(t.s, 1) = 1 AND -late <= ALL (t.s) AND late >= ALL (t.s) THEN t.s ELSE '{}' END s
    FROM unnest(keys) WITH ORDINALITY k(k, row) JOIN @SCHEMA@.buckets t ON t.k = k.k
    ORDER BY k.row FOR UPDATE OF t
  LOOP
    WHILE next < r.row LOOP -- rows that are not there
      FOR j IN firsts[next] .. firsts[next + 1] - 1 LOOP
        locs[j] := base + 5 * (j - firsts[next]); rows[j] := next;
        w := w || ARRAY[limits[j], 0, 0, 0, 0];
      END LOOP;
      starts[next] := base; base := base + 5 * (firsts[next + 1] - firsts[next]); ends[next] := base;
      next := next + 1;
    END LOOP;
    tids[next] := r.ctid;
    IF r.at < r.full_at AND r.at BETWEEN 0 AND late THEN -- or else it was not written here
      ats[next] := r.at;
      IF r.at > latest THEN
        latest := r.at;
      END IF;
    END IF;
    part := r.s; size := cardinality(part); known := size > 0;
    FOR j IN firsts[next] .. firsts[next + 1] - 1 LOOP
      place := limits[j];
      l := 5 * (j - firsts[next]);
      IF part[l + 1] & 255 IS DISTINCT FROM place THEN
        l := 0;
        WHILE l < size AND part[l + 1] & 255 <> place LOOP
          l := l + 5;
        END LOOP;
        IF l >= size THEN
          known := known AND NOT EXISTS (
            SELECT FROM generate_series(1, size, 5) q WHERE part[q] & 255 NOT BETWEEN 1 AND 254
          );
          broken := broken OR NOT known;
          part := part || ARRAY[place, CASE WHEN known THEN 0 ELSE unknown END, 0, 0, 0]; size := size + 5;
        END IF;
      END IF;
      locs[j] := base + l; rows[j] := next;
    END LOOP;
    w := w || part;
    IF size > 5 * (firsts[next + 1] - firsts[next]) THEN
      crowded := true;
    END IF;
    starts[next] := base; base := base + size; ends[next] := base;
    next := next + 1;
  END LOOP;
  WHILE next <= nkeys LOOP
    FOR j IN firsts[next] .. firsts[next + 1] - 1 LOOP
      locs[j] := base + 5 * (j - firsts[next]); rows[j] := next;
      w := w || ARRAY[limits[j], 0, 0, 0, 0];
    END LOOP;
    starts[next] := base; base := base + 5 * (firsts[next + 1] - firsts[next]); ends[next] := base;
    next := next + 1;
  END LOOP;
  now := @SCHEMA@.now_@VERSION@();

  -- A bucket that cannot be found in its row is empty, if anything there cannot be read.
  IF broken THEN
    FOR i IN 0 .. n - 1 LOOP
      o := width * i; b := ops[o + 1]; l := locs[b];
      IF w[l + 2] = unknown THEN
        w[l + 2] := greatest(now, ats[rows[b]]) + ops[o + 5]; w[l + 3] := ops[o + 6];
        w[l + 4] := ops[o + 7]; w[l + 5] := ops[o + 8];
        dirty[rows[b]] := true;
      END IF;
    END LOOP;
  END IF;

  -- If the clock went back a little, no time passes for a row until the clock is where it was. If
  -- it went back further, it was corrected, and time goes on from there.
  IF latest > now THEN
    FOR j IN 1 .. nkeys LOOP
      d := ats[j] - now;
      ats[j] := 0;
      IF d > 0 THEN
        FOR l IN starts[j] .. ends[j] - 1 BY 5 LOOP
          w[l + 2] := w[l + 2] - d;
        END LOOP;
        IF d > swing THEN
          dirty[j] := true;
        ELSE
          ats[j] := d; skewed := true;
        END IF;
      END IF;
    END LOOP;
  END IF;

  WHILE first < n LOOP
    last := first + ops[width * first + 11]::integer - 1;
    plain := ops[width * first + 12] = 1;
    denied := false;

    IF plain AND crowded THEN
      FOR i IN first .. last LOOP
        o := width * i; row := rows[ops[o + 1]];
        IF ops[o + 14] > 0 AND ends[row] - starts[row] > 5 * ops[o + 14] THEN
          plain := false; -- other buckets of the row count the batch too
          EXIT;
        END IF;
      END LOOP;
    END IF;
    IF plain THEN
      FOR i IN first .. last LOOP
        o := width * i;
        l := locs[ops[o + 1]]; cnt := ops[o + 7];
        d := w[l + 2] - now; g := w[l + 3];
        IF d < 0 THEN
          d := 0; g := 0;
        ELSIF w[l + 4] <> cnt OR w[l + 5] <> ops[o + 8] OR w[l + 1] <> ops[o + 13]
          OR g < 0 OR g >= cnt
        THEN
          plain := false; -- an old debt under a limit that has changed, or one that cannot be read
          EXIT;
        END IF;
        a := d + ops[o + 3]; h := g + ops[o + 4]; fns := ops[o + 5];
        IF h >= cnt THEN
          a := a + 1; h := h - cnt;
        END IF;
        IF a >= fns AND (a > fns OR h > ops[o + 6]) THEN
          denied := true;
          res[3 * i + 1] := a - fns + (h > ops[o + 6])::integer;
        ELSE
          res[3 * i + 2] := a; res[3 * i + 3] := h;
        END IF;
      END LOOP;
    END IF;
    IF plain AND denied THEN
      FOR i IN first .. last LOOP
        l := locs[ops[width * i + 1]];
        d := w[l + 2] - now; g := w[l + 3];
        IF d < 0 THEN
          d := 0; g := 0;
        END IF;
        res[3 * i + 2] := d; res[3 * i + 3] := g;
      END LOOP;
    ELSIF plain THEN
      FOR i IN first .. last LOOP
        o := width * i;
        b := ops[o + 1]; l := locs[b]; cnt := ops[o + 7];
        w[l + 2] := now + res[3 * i + 2]; w[l + 3] := res[3 * i + 3]; dirty[rows[b]] := true;
        IF w[l + 4] <> cnt OR w[l + 5] <> ops[o + 8] OR w[l + 1] <> ops[o + 13] THEN
          w[l + 4] := cnt; w[l + 5] := ops[o + 8]; w[l + 1] := ops[o + 13];
        END IF;
      END LOOP;
    ELSE
      FOR i IN first .. last LOOP
        res[3 * i + 1] := 0;
        o := width * i; l := locs[ops[o + 1]];
        IF w[l + 2] >= now AND (
          w[l + 3] < 0 OR w[l + 3] >= w[l + 4] OR w[l + 4] > 4294967295 OR w[l + 5] < 1
        ) THEN -- what cannot be read is an empty bucket
          w[l + 2] := now + ops[o + 5]; w[l + 3] := ops[o + 6]; w[l + 4] := ops[o + 7]; w[l + 5] := ops[o + 8];
          dirty[rows[ops[o + 1]]] := true;
        END IF;
      END LOOP;
      denied := false;
@GENERAL@
    END IF;
    first := last + 1;
  END LOOP;

  -- A bucket that was never charged needs no place in a row.
  IF emptied THEN
    FOR j IN 1 .. nkeys LOOP
      o := starts[j];
      FOR l IN starts[j] .. ends[j] - 1 BY 5 LOOP
        CONTINUE WHEN NOT dirty[j];
        IF w[l + 4] > 0 THEN
          FOR i IN 1 .. 5 LOOP -- version 13 assigns no slices
            w[o + i] := w[l + i];
          END LOOP;
          o := o + 5;
        END IF;
      END LOOP;
      IF dirty[j] THEN
        ends[j] := o;
      END IF;
    END LOOP;
  END IF;

  -- Write.
  wanted := 0;
  FOR j IN 1 .. nkeys LOOP
    IF dirty[j] THEN
      wanted := wanted + 1;
      a := 0;
      FOR l IN starts[j] .. ends[j] - 1 BY 5 LOOP
        IF skewed THEN
          w[l + 2] := w[l + 2] + ats[j];
        END IF;
        IF w[l + 2] >= a THEN
          a := w[l + 2] + 1;
        END IF;
      END LOOP;
      fulls[j] := a;
    END IF;
  END LOOP;
  IF NOT skewed THEN
    ats := NULL;
  END IF;
  IF wanted > 0 AND array_position(tids, NULL) IS NOT NULL THEN
    WITH f AS MATERIALIZED (SELECT w), v AS MATERIALIZED (
      SELECT * FROM unnest(keys, tids, dirty, fulls, ats, starts, ends)
        v(k, tid, dirty, full_at, late, start, until)
      WHERE v.dirty AND v.tid IS NULL
    ), i AS (
      INSERT INTO @SCHEMA@.buckets (k, full_at, at, s)
      SELECT v.k, v.full_at, now + coalesce(v.late, 0), f.w[v.start + 1 : v.until]
      FROM v, f ORDER BY v.k
      ON CONFLICT (k) DO NOTHING RETURNING ctid
    )
    SELECT (SELECT count(*) FROM v), count(*), array_agg(i.ctid) INTO written, fresh, freshtids FROM i;
    IF fresh < written THEN
      DELETE FROM @SCHEMA@.buckets t USING unnest(freshtids) v(tid) WHERE t.ctid = v.tid;
      RETURN NULL;
    END IF;
  END IF;
  IF wanted > fresh THEN
    WITH f AS MATERIALIZED (SELECT w)
    UPDATE @SCHEMA@.buckets t
    SET full_at = v.full_at, at = now + coalesce(v.late, 0), s = f.w[v.start + 1 : v.until]
    FROM f, unnest(tids, dirty, fulls, ats, starts, ends) v(tid, dirty, full_at, late, start, until)
    WHERE v.dirty AND v.tid IS NOT NULL AND t.ctid = v.tid;
    GET DIAGNOSTICS written = ROW_COUNT;
    IF written + fresh <> wanted THEN
      RAISE EXCEPTION '% of % rows were written', written + fresh, wanted;
    END IF;
  END IF;

  -- Remove full rows: for 16 new ones, those of one block; for 16 calls without new ones too.
  blocks := (fresh + 15) / 16;
  IF blocks = 0 AND now / 1000 % 16 = 0 THEN
    blocks := 1;
  END IF;
  IF blocks > 0 THEN
    PERFORM @SCHEMA@.sweep_@VERSION@(sweep, blocks, now);
  END IF;
  res[3 * n + 1] := blocks; res[3 * n + 2] := fresh;@LOGGED@
  RETURN res;
END
$body$;
