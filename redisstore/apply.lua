-- Decides batches of operations on token buckets, one batch after another: of each batch
-- all operations are applied, or none.
--
-- KEYS[i] is the bucket of operation i. ARGV[1] holds six doubles for each: kind, cost, num,
-- den, fill and place. What a bucket lacks, its debt, is counted in ticks of 1/den
-- microseconds. A token is num ticks, the cost is in ticks, and fill is the whole
-- bucket. The place is, for the first operation of a batch, the number of its operations, and
-- for the others the place in the batch of the first on the same bucket. All numbers are whole and
-- below 2^53, which doubles hold exactly.
--
-- A bucket is kept as text: 16 digits for an instant (microseconds), and so many tokens as
-- it lacked then. If the instant is not a whole one, a colon follows, and how many ticks later it
-- was. It is less than a token's time before the last change, so that up to 999 tokens are
-- an integer for the server, which takes no memory of its own. Another format must begin
-- with something else than a digit.
--
-- The reply is 17 bytes for each operation: a byte, 1 if it was allowed, and two doubles: the
-- debt it found and the debt in the end. If its batch failed, the byte is 2 and the first double
-- is the length of the error, which is 0 for all but the first of the batch. Errors come last.

local TAKE, PEEK, CREDIT, RESET, DRAIN = 0, 1, 2, 3, 4 -- any other: more than the bucket can hold
local NEVER_TAKE = -1
local arg, call, unpack, pack = ARGV[1], redis.pcall, struct.unpack, struct.pack
local floor, ceil, find, match, sub, format = math.floor, math.ceil, string.find, string.match, string.sub, string.format
local now = redis.call('TIME')
now = now[1] * 1000000 + now[2]

-- load returns the debt of a bucket, whether it is to be written even if nothing changes, and
-- whether it is stored; or else an error.
-- What cannot be read is an empty bucket. A clock set back, or a lower limit, leaves no
-- more than that to wait for.
local function load(key, num, den, fill)
  local state = call('GET', key)
  if not state then
    return 0, false, false
  end
  if type(state) == 'table' then
    return nil, state.err
  end
  if #state < 17 then
    return fill, true, true
  end
  local since, tokens, ticks = sub(state, 1, 16), sub(state, 17), 0
  if find(state, '%D') then
    since, tokens, ticks = match(state, '^(%d%d%d%d%d%d%d%d%d%d%d%d%d%d%d%d)(%d+):(%d+)$')
    if not since then
      return fill, true, true
    end
    ticks = math.min(ticks, den) -- it may be another limit's
  end
  local debt = tokens * num - (now - since) * den + ticks
  if debt > fill then
    return fill, true, true
  end
  return debt > 0 and debt or 0, false, true
end

-- save returns an error if there is one. Two milliseconds more are for rounding up, and for
-- a clock that is read before the server's own for expiry.
local function save(key, debt, num, den, stored)
  local done
  if debt > 0 then
    local tokens = ceil(debt / num)
    local ticks = tokens * num - debt
    local us = ceil(ticks / den)
    ticks = us * den - ticks
    local state = format(ticks > 0 and '%016.0f%.0f:%.0f' or '%016.0f%.0f', now - us, tokens, ticks)
    done = call('SET', key, state, 'PX', floor(debt / den / 1000) + 2)
  elseif stored then
    done = call('DEL', key)
  end
  return type(done) == 'table' and done.err
end

-- try returns whether an operation is allowed, and the debt that it leaves.
local function try(kind, cost, debt, fill)
  if kind == TAKE or kind == PEEK then
    if debt + cost > fill then
      return false, debt
    end
    return true, kind == TAKE and debt + cost or debt
  elseif kind == CREDIT then
    return true, debt > cost and debt - cost or 0
  elseif kind == RESET then
    return true, 0
  elseif kind == DRAIN then
    return true, debt + cost > fill and fill or debt + cost
  end
  return false, debt
end

-- convert returns a debt under another limit, and rounds it up. That is for two
-- limits on one bucket in one batch.
local function convert(debt, num, to, fill)
  if num == to then
    return debt
  end
  return math.min(ceil(debt * (to / num)), fill)
end

local reply, errors = {}, {}

local function fail(first, size, err)
  err = tostring(err)
  errors[#errors + 1] = err
  for i = first, first + size - 1 do
    reply[i] = pack('>Bdd', 2, i == first and #err or 0, 0)
  end
end

local function one(i, kind, cost, num, den, fill)
  local found, fix, stored = load(KEYS[i], num, den, fill)
  if not found then
    return fail(i, 1, fix)
  end
  local ok, left = try(kind, cost, found, fill)
  if left ~= found or fix then
    local err = save(KEYS[i], left, num, den, stored)
    if err then
      return fail(i, 1, err)
    end
  end
  reply[i] = pack('>Bdd', ok and 1 or 0, found, left)
end

local function many(first, size)
  local allowed, found, had, has, nums, fix, stored = {}, {}, {}, {}, {}, {}, {}
  local refused = false
  for i = first, first + size - 1 do
    local kind, cost, num, den, fill, place = unpack('>dddddd', arg, i * 48 - 47)
    local b = i == first and i or first + place - 1
    if b == i then
      had[i], fix[i], stored[i] = load(KEYS[i], num, den, fill)
      if not had[i] then
        return fail(first, size, fix[i])
      end
      has[i], nums[i] = had[i], num
    end
    found[i] = convert(has[b], nums[b], num, fill)
    local ok, left = try(kind, cost, found[i], fill)
    has[b], allowed[i] = convert(left, num, nums[b], math.huge), ok
    if not ok and (kind == TAKE or kind == NEVER_TAKE) then
      refused = true
    end
  end
  if refused then
    has = had
  end
  for i = first, first + size - 1 do
    local _, _, num, den, fill, place = unpack('>dddddd', arg, i * 48 - 47)
    local b = i == first and i or first + place - 1
    if b == i and (has[i] ~= had[i] or fix[i]) then
      local err = save(KEYS[i], has[i], num, den, stored[i])
      if err then
        return fail(first, size, err)
      end
    end
    reply[i] = pack('>Bdd', allowed[i] and 1 or 0, found[i], convert(has[b], nums[b], num, fill))
  end
end

local i, n = 1, #KEYS
while i <= n do
  local kind, cost, num, den, fill, size = unpack('>dddddd', arg, i * 48 - 47)
  if size == 1 then
    one(i, kind, cost, num, den, fill)
  else
    many(i, size)
  end
  i = i + size
end
return table.concat(reply) .. table.concat(errors)
