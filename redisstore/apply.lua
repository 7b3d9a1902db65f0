-- One batch of operations on token buckets: all of them, or none.
--
-- KEYS[i] is the bucket of operation i. ARGV[1] holds eight doubles for each: kind, cost
-- (microseconds, fraction), never, the time of one token (numerator, denominator; in
-- microseconds), and the time that filling the whole bucket takes (microseconds,
-- fraction). A fraction is a numerator over the denominator. All that is added and compared
-- are whole numbers below 2^53, which doubles hold exactly; only the debts of a limit whose
-- numbers have changed are multiplied, and rounded up.
--
-- A bucket is kept as a version and the instant at which it will be full again.
--
-- The reply holds five doubles for each operation: whether it was allowed, the debt it
-- found and the debt in the end (microseconds, fraction).

local TAKE, PEEK, CREDIT = 0, 1, 2
local VERSION = 1
local now = redis.call('TIME')
now = now[1] * 1000000 + now[2]

-- order makes the fraction of a sum or a difference proper.
local function order(us, frac, den)
  if frac >= den then
    return us + 1, frac - den
  elseif frac < 0 then
    return us - 1, frac + den
  end
  return us, frac
end

local function above(us, frac, b_us, b_frac)
  return us > b_us or us == b_us and frac > b_frac
end

-- read returns the bucket of op. What cannot be read is an empty bucket, not a full one.
local function read(key, op)
  local b = {us = 0, frac = 0, num = op.num, den = op.den, changed = false, stored = false}
  local state = redis.call('GET', key)
  if not state then
    return b
  end
  b.stored = true
  local version, full, frac, num, den = 0, 0, 0, 0, 0
  if #state == 33 then
    version, full, frac, num, den = struct.unpack('>Bdddd', state)
  end
  if version ~= VERSION or not (full >= 0 and num >= 1 and den >= 1 and frac >= 0 and frac < den) then
    b.us, b.frac, b.changed = op.fill, op.fill_frac, true
  elseif full >= now then
    b.us, b.frac, b.num, b.den = full - now, frac, num, den
  end
  return b
end

-- adopt puts b under the numbers of op: what was spent stays spent, in tokens, and at
-- most as many as the bucket holds. That also bounds what a clock set back can do.
local function adopt(b, op)
  if b.num ~= op.num or b.den ~= op.den then
    local t = (b.us + b.frac / b.den) * (op.num / op.den) / (b.num / b.den) * (1 + 2 ^ -50)
    b.us = math.floor(t)
    b.us, b.frac = order(b.us, math.ceil((t - b.us) * op.den), op.den)
    b.num, b.den, b.changed = op.num, op.den, true
  end
  if above(b.us, b.frac, op.fill, op.fill_frac) then
    b.us, b.frac, b.changed = op.fill, op.fill_frac, true
  end
end

local function copy(b)
  return {us = b.us, frac = b.frac, num = b.num, den = b.den, changed = b.changed, stored = b.stored}
end

-- decide judges op on b, and changes b if it is to be changed.
local function decide(b, op)
  if op.kind > PEEK then
    local us, frac = 0, 0
    if op.kind == CREDIT then
      us, frac = order(b.us - op.cost, b.frac - op.cost_frac, op.den)
    end
    if us < 0 then
      us, frac = 0, 0
    end
    b.us, b.frac, b.changed = us, frac, true
    return true
  end
  if op.cost == 0 and op.cost_frac == 0 and op.never == 0 then
    return true
  end
  local us, frac = order(b.us + op.cost, b.frac + op.cost_frac, op.den)
  if op.never == 1 or above(us, frac, op.fill, op.fill_frac) then
    return false
  end
  if op.kind == TAKE then
    b.us, b.frac, b.changed = us, frac, true
  end
  return true
end

-- write keeps b until it is full. The two milliseconds are for rounding up and for a
-- clock that is read after the one by which keys expire.
local function write(key, b)
  if b.us > 0 or b.frac > 0 then
    redis.call('SET', key, struct.pack('>Bdddd', VERSION, now + b.us, b.frac, b.num, b.den),
      'PX', string.format('%.0f', math.floor(b.us / 1000) + 2))
  elseif b.stored then
    redis.call('DEL', key)
  end
end

local found, left, ops, reply = {}, {}, {}, {}
local refused = false
for i, key in ipairs(KEYS) do
  local op = {}
  op.kind, op.cost, op.cost_frac, op.never, op.num, op.den, op.fill, op.fill_frac =
    struct.unpack('>dddddddd', ARGV[1], (i - 1) * 64 + 1)
  if not found[key] then
    found[key] = read(key, op)
    adopt(found[key], op)
    left[key] = copy(found[key])
  end
  local b = left[key]
  adopt(b, op)
  op.us, op.frac = b.us, b.frac
  op.allowed = decide(b, op)
  refused = refused or op.kind == TAKE and not op.allowed
  ops[i] = op
end
if refused then
  left = found
end
for key, b in pairs(left) do
  if b.changed then
    write(key, b)
  end
end
for i, key in ipairs(KEYS) do
  local op, b = ops[i], left[key]
  adopt(b, op)
  reply[i] = struct.pack('>ddddd', op.allowed and 1 or 0, op.us, op.frac, b.us, b.frac)
end
return table.concat(reply)
