-- sweep_@VERSION@ removes the full buckets of some blocks of the table.
CREATE OR REPLACE FUNCTION @SCHEMA@.sweep_@VERSION@(sweep bigint, blocks integer, now bigint)
RETURNS void LANGUAGE plpgsql VOLATILE AS $body$
DECLARE
  total bigint := pg_relation_size('@SCHEMA@.buckets') / current_setting('block_size')::integer;
  here bigint;
  tids tid[];
BEGIN
  FOR j IN 1 .. least(blocks, total) LOOP
    here := (sweep + j - 1) % total;
    IF current_setting('server_version_num')::integer >= 140000 THEN
      tids := ARRAY(
        SELECT t.ctid FROM @SCHEMA@.buckets t
        WHERE t.ctid >= format('(%s,0)', here)::tid AND t.ctid < format('(%s,0)', here + 1)::tid
          AND t.full_at < now AND t.at <= now
        FOR UPDATE SKIP LOCKED
      );
    ELSE -- cannot scan a range
      tids := ARRAY(
        SELECT t.ctid FROM @SCHEMA@.buckets t
        WHERE t.ctid = ANY (ARRAY(SELECT format('(%s,%s)', here, x)::tid FROM generate_series(1, 291) x))
          AND t.full_at < now AND t.at <= now
        FOR UPDATE SKIP LOCKED
      );
    END IF;
    IF cardinality(tids) > 0 THEN
      DELETE FROM @SCHEMA@.buckets t WHERE t.ctid = ANY (tids);
    END IF;
  END LOOP;
END
$body$;
