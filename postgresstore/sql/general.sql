      -- Count what other versions of a rule have charged: see Carry in package store.
      FOR z IN first .. last LOOP
        l := locs[ops[width * z + 1]]; c := w[l + 4]; p := w[l + 5];
        CONTINUE WHEN w[l + 1] > 1 OR w[l + 2] < now OR c = ops[width * z + 7] AND p = ops[width * z + 8];
        FOR i IN first .. last LOOP
          o := width * i;
          b := locs[ops[o + 1]]; cnt := ops[o + 7]; per := ops[o + 8];
          CONTINUE WHEN w[b + 1] = 1 OR rows[ops[o + 1]] <> rows[ops[width * z + 1]]
            OR cnt::numeric * ops[width * z + 8] <= ops[width * z + 7]::numeric * per
            OR (c::double precision / p) ^ 2
              <= cnt::double precision / per * (ops[width * z + 7]::double precision / ops[width * z + 8]);
          x := @SCHEMA@.convert_@VERSION@(w[l + 2] - now, w[l + 3], c, p, cnt, per);
          d := w[b + 2] - now; g := w[b + 3];
          IF d < 0 THEN
            d := 0; g := 0;
          ELSIF w[b + 4] <> cnt OR w[b + 5] <> per THEN
            y := @SCHEMA@.convert_@VERSION@(d, g, w[b + 4], w[b + 5], cnt, per);
            d := y[1]; g := y[2];
          END IF;
          IF (x[1] > d OR x[1] = d AND x[2] > g) AND x[1] / 4 <= ops[o + 5] THEN
            IF x[1] > ops[o + 5] OR x[1] = ops[o + 5] AND x[2] > ops[o + 6] THEN
              x := ops[o + 5 : o + 6];
            END IF;
            w[b + 2] := now + x[1]; w[b + 3] := x[2]; w[b + 4] := cnt; w[b + 5] := per;
          END IF;
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
        ub[u] := b; uf[u] := w[l + 2]; ug[u] := g; uc[u] := c; up[u] := p; ud[u] := dirty[row];
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
          dirty[row] := dirty[row] OR tids[row] IS NOT NULL OR a > 0 OR h > 0;
        END IF;
      END LOOP;
      IF denied THEN
        FOR j IN REVERSE u .. 1 LOOP
          l := locs[ub[j]];
          w[l + 2] := uf[j]; w[l + 3] := ug[j]; w[l + 4] := uc[j]; w[l + 5] := up[j];
          dirty[rows[ub[j]]] := ud[j];
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
