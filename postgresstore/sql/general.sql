      -- Begin with what other versions of a rule have charged: see Carry in package store. sources are
      -- the buckets that tell it.
      kz := '{}'; kl := '{}';
      FOR z IN first .. last LOOP
        b := ops[width * z + 1]; u := ops[width * z + 14];
        CONTINUE WHEN u = 0;
        row := rows[b]; lead := locs[b]; mine := '{}'; sources := '{}';
        FOR i IN first .. last LOOP
          o := width * i; b := ops[o + 1]; l := locs[b];
          CONTINUE WHEN rows[b] <> row;
          mine := mine || l;
          IF w[l + 4] > 0
            AND (w[l + 4] <> ops[o + 7] OR w[l + 5] <> ops[o + 8] OR w[l + 1] <> ops[o + 13])
          THEN
            sources := sources || l;
          END IF;
        END LOOP;
        CONTINUE WHEN ends[row] - starts[row] = 5 * u AND (u = 1 OR sources = '{}');
        busy := false;
        FOR l IN starts[row] .. ends[row] - 1 BY 5 LOOP
          busy := busy OR w[l + 2] > now OR w[l + 2] = now AND w[l + 3] > 0;
        END LOOP;
        FOR l IN starts[row] .. ends[row] - 1 BY 5 LOOP
          IF l = ANY (mine) THEN
            CONTINUE;
          ELSIF NOT busy THEN -- the whole row is full, and might be gone
            w[l + 2] := 0; w[l + 3] := 0; w[l + 4] := 0; w[l + 5] := 0;
          END IF;
          IF w[l + 4] < 1 OR w[l + 4] > 4294967295 OR w[l + 5] < 1 OR w[l + 3] < 0 OR w[l + 3] >= w[l + 4] THEN
            w[l + 4] := 0; emptied := true; -- never charged, or what cannot be read
          ELSE
            kz := kz || z; kl := kl || l; sources := sources || l;
          END IF;
        END LOOP;
        FOR i IN first .. last LOOP
          o := width * i; b := ops[o + 1]; l := locs[b]; burst := ops[o + 10];
          CONTINUE WHEN rows[b] <> row OR l = lead OR w[l + 4] > 0;
          FOREACH kin IN ARRAY sources LOOP
            d := w[kin + 2] - now; g := w[kin + 3]; c := w[kin + 4]; p := w[kin + 5]; a := w[kin + 1] >> 8;
            CONTINUE WHEN d < 0 OR d = 0 AND g = 0 OR a = 4294967295;
            -- What is left of the larger burst. Of what cannot be read it is nothing.
            a := CASE WHEN p > 0 THEN greatest(greatest(a, burst) - div(d::numeric * c + g + p - 1, p), 0) ELSE 0 END;
            CONTINUE WHEN a >= burst;
            x := @SCHEMA@.convert_@VERSION@(burst - a, 0, 1, 1, ops[o + 7], ops[o + 8]);
            d := w[l + 2] - now;
            IF x[1] > d OR x[1] = d AND x[2] > w[l + 3] THEN
              w[l + 2] := now + x[1]; w[l + 3] := x[2]; dirty[row] := true;
              w[l + 4] := ops[o + 7]; w[l + 5] := ops[o + 8]; w[l + 1] := ops[o + 13];
            END IF;
          END LOOP;
        END LOOP;
      END LOOP;
      u := 0;
      FOR i IN first .. last LOOP
        o := width * i;
        b := ops[o + 1]; l := locs[b]; row := rows[b]; kind := ops[o + 2]; cns := ops[o + 3]; cfr := ops[o + 4];
        fns := ops[o + 5]; ffr := ops[o + 6]; cnt := ops[o + 7]; per := ops[o + 8];
        cost := ops[o + 9]; burst := ops[o + 10];
        d := w[l + 2] - now; g := w[l + 3]; c := w[l + 4]; p := w[l + 5];
        u := u + 1;
        ub[u] := b; uf[u] := w[l + 2]; ug[u] := g; uc[u] := c; up[u] := p; uh[u] := w[l + 1]; ud[u] := dirty[row];
        IF d < 0 THEN
          d := 0; g := 0;
        END IF;
        own := true;
        IF d = 0 AND g = 0 THEN
          c := cnt; p := per;
        ELSIF c <> cnt OR p <> per THEN
          own := cnt::numeric * p > c::numeric * per;
          IF own THEN -- the faster of both rates pays the debt
            x := @SCHEMA@.convert_@VERSION@(d, g, c, p, cnt, per);
            d := x[1]; g := x[2]; c := cnt; p := per;
            w[l + 2] := now + d; w[l + 3] := g; w[l + 4] := c; w[l + 5] := p; dirty[row] := true;
          ELSE
            x := @SCHEMA@.convert_@VERSION@(burst, 0, 1, 1, c, p);
            fns := x[1]; ffr := x[2];
            x := @SCHEMA@.convert_@VERSION@(cost, 0, 1, 1, c, p);
            cns := x[1]; cfr := x[2];
          END IF;
        END IF;
        -- a and h are the debt afterwards.
        ok := true; wait := 0; a := d; h := g;
        IF kind = 2 THEN
          IF cns > d OR cns = d AND cfr >= g THEN
            a := 0; h := 0;
          ELSE
            a := d - cns; h := g - cfr;
            IF h < 0 THEN
              a := a - 1; h := h + c;
            END IF;
          END IF;
        ELSIF kind = 3 THEN
          a := 0; h := 0;
        ELSIF cost > burst THEN
          IF kind = 4 THEN
            IF fns > d OR fns = d AND ffr > g THEN
              a := fns; h := ffr;
            END IF;
          ELSE
            ok := false; wait := -1;
          END IF;
        ELSIF cost > 0 THEN
          a := d + cns; h := g + cfr;
          IF h >= c THEN
            a := a + 1; h := h - c;
          END IF;
          IF a > fns OR a = fns AND h > ffr THEN
            IF kind <> 4 THEN
              ok := false; wait := a - fns;
              IF h > ffr THEN
                wait := wait + 1;
              END IF;
            ELSIF fns > d OR fns = d AND ffr > g THEN
              a := fns; h := ffr;
            ELSE
              a := d; h := g;
            END IF;
          END IF;
        END IF;
        res[3 * i + 1] := wait;
        IF NOT ok THEN
          denied := denied OR kind = 0;
        ELSIF kind IN (2, 3) OR kind <> 1 AND cost > 0 THEN
          IF NOT own AND kind IN (0, 4) AND (a < fns OR a = fns AND h <= ffr) THEN
            x := @SCHEMA@.convert_@VERSION@(a, h, c, p, cnt, per);
            a := x[1]; h := x[2]; c := cnt; p := per;
          END IF;
          w[l + 2] := now + a; w[l + 3] := h; w[l + 4] := c; w[l + 5] := p;
          IF kind IN (0, 4) THEN
            w[l + 1] := ops[o + 13];
          END IF;
          dirty[row] := dirty[row] OR tids[row] IS NOT NULL OR a > 0 OR h > 0;
        END IF;
      END LOOP;
      IF denied THEN
        FOR j IN REVERSE u .. 1 LOOP
          l := locs[ub[j]];
          w[l + 2] := uf[j]; w[l + 3] := ug[j]; w[l + 4] := uc[j]; w[l + 5] := up[j]; w[l + 1] := uh[j];
          dirty[rows[ub[j]]] := ud[j];
        END LOOP;
      ELSE -- let other versions count it: see Spread in package store
        FOR j IN 1 .. cardinality(kl) LOOP
          o := width * kz[j]; l := kl[j]; kind := ops[o + 2];
          CONTINUE WHEN kind = 1 OR kind <> 3 AND ops[o + 9] = 0;
          d := w[l + 2] - now; g := w[l + 3]; c := w[l + 4]; p := w[l + 5];
          IF d < 0 OR kind = 3 THEN
            d := 0; g := 0;
          END IF;
          IF kind <> 3 THEN
            x := @SCHEMA@.convert_@VERSION@(ops[o + 9], 0, 1, 1, c, p);
            IF kind <> 2 THEN
              d := d + x[1]; g := g + x[2];
              IF g >= c THEN
                d := d + 1; g := g - c;
              END IF;
              IF d >= century THEN
                d := century; g := 0;
              END IF;
            ELSIF x[1] > d OR x[1] = d AND x[2] >= g THEN
              d := 0; g := 0;
            ELSE
              d := d - x[1]; g := g - x[2];
              IF g < 0 THEN
                d := d - 1; g := g + c;
              END IF;
            END IF;
          END IF;
          w[l + 2] := now + d; w[l + 3] := g;
        END LOOP;
      END IF;
      FOR i IN first .. last LOOP -- report
        o := width * i;
        b := ops[o + 1]; l := locs[b]; row := rows[b]; cnt := ops[o + 7]; per := ops[o + 8];
        d := w[l + 2] - now; g := w[l + 3]; c := w[l + 4]; p := w[l + 5];
        IF d < 0 THEN
          d := 0; g := 0;
        END IF;
        IF (d > 0 OR g > 0) AND (c <> cnt OR p <> per) THEN
          IF cnt::numeric * p > c::numeric * per THEN
            x := @SCHEMA@.convert_@VERSION@(d, g, c, p, cnt, per);
            d := x[1]; g := x[2];
            w[l + 2] := now + d; w[l + 3] := g; w[l + 4] := cnt; w[l + 5] := per; dirty[row] := true;
          ELSE
            res := res || ARRAY[i::bigint, c, p];
          END IF;
        END IF;
        res[3 * i + 2] := d; res[3 * i + 3] := g;
      END LOOP;
