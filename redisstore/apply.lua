-- One batch of operations on token buckets: all of them, or none.
--
-- KEYS[i] is the bucket of operation i. ARGV[1] holds eight doubles for each: kind (negative
-- for a take that can never be allowed), cost (microseconds, fraction), the time of one token
-- in microseconds, the denominator of fractions, the time that filling the whole bucket takes
-- (microseconds, fraction), and the place of the first operation on the same bucket.
-- A fraction is a numerator over the denominator. All that is added and compared
-- are whole numbers below 2^53, which doubles hold exactly; only the debts of a limit whose
-- numbers have changed are multiplied, and rounded up.
--
-- A bucket is kept as a version, the instant at which it will be full again (microseconds,
-- fraction) and the time of one token.
--
-- There are no tables of fields, nor functions for what every operation does: they would
-- take half of the time.
--
-- The reply holds five doubles for each operation: whether it was allowed, the debt it
-- found and the debt in the end (microseconds, fraction).

local TAKE, CREDIT, RESET = 0, 2, 3
local VERSION = 1
local floor, ceil, unpack, pack = math.floor, math.ceil, struct.unpack, struct.pack
local now = redis.call('TIME')
now = now[1] * 1000000 + now[2]

-- adopt returns a debt under another time of a token: what was spent stays spent, in tokens.
-- The denominator of the old fraction is not known, so that counts as a microsecond.
local function adopt(us, frac, from, to, den)
  if frac > 0 then
    us = us + 1
  end
  local t = us * (to / from) * (1 + 2 ^ -50)
  us = floor(t)
  frac = ceil((t - us) * den)
  if frac >= den then
    return us + 1, frac - den
  end
  return us, frac
end

-- By the first operation on a bucket: its debt as it was found (had) and as the operations
-- so far leave it (has), the time of a token that both are in, and whether it is to be
-- written even if the batch is refused (fix), or if not (new), and whether it is stored.
local had_us, had_frac, has_us, has_frac, had_pace, has_pace = {}, {}, {}, {}, {}, {}
local fix, new, stored = {}, {}, {}
local allowed, us_before, frac_before = {}, {}, {}
local refused = false

for i = 1, #KEYS do
  local kind, cost, cost_frac, pace, den, fill, fill_frac, b = unpack('>dddddddd', ARGV[1], i * 64 - 63)
  local us, frac, change = 0, 0, false
  local old = pace
  if b == i then
    local state = redis.call('GET', KEYS[i])
    if state then
      stored[i] = true
      local version = 0
      if #state == 25 then
        version, us, frac, old = unpack('>Bddd', state)
      end
      if version ~= VERSION or not (us >= 0 and frac >= 0 and old > 0) then
        us, frac, old, change = fill, fill_frac, pace, true -- what cannot be read is empty, not full
      elseif us < now then
        us, frac, old = 0, 0, pace
      else
        us = us - now
      end
    end
  else
    us, frac, old = has_us[b], has_frac[b], has_pace[b]
  end
  if old ~= pace then
    us, frac = adopt(us, frac, old, pace, den)
    change = true
  end
  -- At most the whole bucket can be missing. This bounds what a clock set back can do, too.
  if us > fill or us == fill and frac > fill_frac then
    us, frac, change = fill, fill_frac, true
  end
  if b == i then
    had_us[i], had_frac[i], had_pace[i], fix[i] = us, frac, pace, change
  end
  us_before[i], frac_before[i] = us, frac

  local ok = kind >= 0
  if kind >= CREDIT then
    if kind == RESET then
      us, frac = 0, 0
    else
      us, frac = us - cost, frac - cost_frac
      if frac < 0 then
        us, frac = us - 1, frac + den
      end
      if us < 0 then
        us, frac = 0, 0
      end
    end
    change = true
  elseif ok and (cost > 0 or cost_frac > 0) then
    local after, after_frac = us + cost, frac + cost_frac
    if after_frac >= den then
      after, after_frac = after + 1, after_frac - den
    end
    if after > fill or after == fill and after_frac > fill_frac then
      ok = false
    elseif kind == TAKE then
      us, frac, change = after, after_frac, true
    end
  end
  if not ok and kind <= TAKE and kind ~= -2 then
    refused = true
  end
  has_us[b], has_frac[b], has_pace[b] = us, frac, pace
  new[b] = new[b] or change
  allowed[i] = ok
end

if refused then
  has_us, has_frac, has_pace, new = had_us, had_frac, had_pace, fix
end
local reply = {}
for i = 1, #KEYS do
  local _, _, _, pace, den, fill, fill_frac, b = unpack('>dddddddd', ARGV[1], i * 64 - 63)
  local us, frac = has_us[b], has_frac[b]
  if b == i and new[i] then
    if us > 0 or frac > 0 then
      -- Two milliseconds more: for rounding up, and for a clock that is read before this one.
      redis.call('SET', KEYS[i], pack('>Bddd', VERSION, now + us, frac, has_pace[i]), 'PX', floor(us / 1000) + 2)
    elseif stored[i] then
      redis.call('DEL', KEYS[i])
    end
  end
  if has_pace[b] ~= pace then
    us, frac = adopt(us, frac, has_pace[b], pace, den)
  end
  if us > fill or us == fill and frac > fill_frac then
    us, frac = fill, fill_frac
  end
  reply[i] = pack('>ddddd', allowed[i] and 1 or 0, us_before[i], frac_before[i], us, frac)
end
return table.concat(reply)
