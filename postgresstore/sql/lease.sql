-- lease_@VERSION@ acquires (0), renews (1) or releases (2) leases: of those to acquire, all or none.
-- keys are what the leases are counted by, ids their owners, most how many leases a key may have,
-- ttls nanoseconds. locks are numbers for the keys, sorted. The result is 1 for each lease that was
-- granted, else 0.
CREATE OR REPLACE FUNCTION @SCHEMA@.lease_@VERSION@(
  kind integer, keys bytea[], ids bytea[], most bigint[], ttls bigint[], locks bigint[]
) RETURNS bigint[] LANGUAGE plpgsql VOLATILE
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off
AS $body$
DECLARE
  now bigint; held boolean; denied boolean := false; res bigint[]; fresh boolean[];
BEGIN
  FOR j IN 1 .. cardinality(locks) LOOP
    PERFORM pg_advisory_xact_lock(locks[j]);
  END LOOP;
  now := @SCHEMA@.now_@VERSION@();
  IF kind <> 2 AND current_setting('transaction_isolation') = 'repeatable read' THEN
    -- All that is read below is from before the locks. If another transaction has had one of them
    -- since then, this fails, and the statement is sent again.
    INSERT INTO @SCHEMA@.leases (k, id, ends)
    SELECT DISTINCT x.k, ''::bytea, now + 60000000000 FROM unnest(keys) x(k) ORDER BY x.k
    ON CONFLICT (k, id) DO UPDATE SET ends = excluded.ends;
  END IF;
  FOR j IN 1 .. cardinality(keys) LOOP
    held := EXISTS (SELECT FROM @SCHEMA@.leases t WHERE t.k = keys[j] AND t.id = ids[j] AND t.ends > now);
    res[j] := held::integer;
    fresh[j] := false;
    IF kind = 2 THEN
      DELETE FROM @SCHEMA@.leases t WHERE t.k = keys[j] AND t.id = ids[j];
    ELSIF kind = 1 OR held THEN
      CONTINUE;
    ELSIF (SELECT count(*) FROM (
      SELECT FROM @SCHEMA@.leases t WHERE t.k = keys[j] AND t.id <> '' AND t.ends > now LIMIT most[j]
    ) x) >= most[j] THEN
      denied := true;
      -- No lease lasts longer than an hour. What ends later is of a time before the clock was
      -- corrected, and its instance may have died.
      UPDATE @SCHEMA@.leases t SET ends = now + ttls[j]
      WHERE t.k = keys[j] AND t.ends > now + greatest(ttls[j], 3600000000000) + 10000000000;
      CONTINUE;
    ELSE
      res[j] := 1;
    END IF;
    IF kind = 0 THEN -- later leases of this call count it
      INSERT INTO @SCHEMA@.leases (k, id, ends) VALUES (keys[j], ids[j], now + ttls[j])
      ON CONFLICT (k, id) DO UPDATE SET ends = excluded.ends;
      fresh[j] := true;
    END IF;
  END LOOP;
  FOR j IN 1 .. cardinality(keys) LOOP
    IF denied AND fresh[j] THEN
      DELETE FROM @SCHEMA@.leases t WHERE t.k = keys[j] AND t.id = ids[j];
    ELSIF kind = 1 OR kind = 0 AND NOT denied AND NOT fresh[j] THEN
      INSERT INTO @SCHEMA@.leases (k, id, ends) VALUES (keys[j], ids[j], now + ttls[j])
      ON CONFLICT (k, id) DO UPDATE SET ends = excluded.ends;
    END IF;
  END LOOP;
  IF kind <> 2 THEN -- what dead instances have left
    DELETE FROM @SCHEMA@.leases t WHERE (t.k, t.id) IN (
      SELECT s.k, s.id FROM @SCHEMA@.leases s WHERE s.ends < now ORDER BY s.ends LIMIT 8
      FOR UPDATE SKIP LOCKED
    );
  END IF;@LOGGED@
  RETURN res;
END
$body$;
