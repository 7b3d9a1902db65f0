-- Decides batches of operations on token buckets, one batch after another: of each batch
-- all operations are applied, or none.
--
-- KEYS are the keys of all batches: one for each rule and identity, which holds the buckets
-- of all limits of the rule. ARGV[1] holds eight doubles for each operation: kind, cost, num,
-- den, fill, limit, key and bucket. What a bucket lacks, its debt, is counted in ticks of 1/den
-- microseconds. A token is num ticks, the cost is in ticks, and fill is the whole bucket. The
-- others are numbers from 1 on: of the limit in its rule, of the key in the batch, and of the first
-- operation of the batch on the same bucket. For the first operation key and bucket
-- are how many keys and operations the batch has. All numbers are whole and below 2^53, which
-- doubles hold exactly.
--
-- A key is kept as text, one word for each limit. A word is 0 for a full bucket, or 16 digits
-- for the instant of the last change (microseconds) and behind them how many tokens the bucket
-- lacked then. If part of a token is missing too, a point follows, and that part in 7, 10
-- or 15 decimals. So a word means the same under every limit. Up to 999 whole tokens of one limit are
-- an integer for the server, which takes no memory of its own. Another format must begin with
-- something else than a digit.
--
-- The reply is two doubles for each operation: the debt it found and the debt in the end. If
-- a batch failed its first number is negative, the length of the error. Errors come last.
--
-- If the server does not let the script work, the reply is the server's error as it is: the client
-- may have to drop the connection, or find another server. Nothing has been written then.

local TAKE, PEEK, CREDIT, RESET, DRAIN = 0, 1, 2, 3, 4 -- any other: more than the bucket can hold
local NEVER_TAKE = -1
local WIDTH = 8
local MAX = 2 ^ 52 -- no debt that is decided on is more
local WORD = '^%d%d%d%d%d%d%d%d%d%d%d%d%d%d%d%d%d+%.?%d*$'
-- The clock may go back by so many microseconds and no time passes for a bucket until it is where
-- it was. If it goes back further it has been corrected, and time goes on from there.
local SWING = 10 * 1000000
local unpack = unpack or table.unpack
local call, arg = redis.pcall, { struct.unpack('>' .. string.rep('d', #ARGV[1] / 8), ARGV[1]) }
local floor, ceil, min, max, concat = math.floor, math.ceil, math.min, math.max, table.concat
local find, match, sub, format = string.find, string.match, string.sub, string.format
local timed, now = pcall(redis.call, 'TIME')
if not timed then
  return { err = 'NOTIME ' .. tostring(type(now) == 'table' and now.err or now) }
end
now = now[1] * 1000000 + now[2]

local function instant(us)
  return format('%010d%06d', floor(us / 1000000), us % 1000000)
end

local present -- instant(now), where it is needed

-- decode returns the debt that a word says, and nothing more if that is all. Otherwise it
-- returns true, the instant from which on time counts, and whether the word must be written even
-- if nothing changes. What cannot be read is an empty bucket. What is owed under a larger burst
-- stays owed.
local function decode(word, num, den, fill)
  if word == '0' then
    return 0
  end
  if not find(word, WORD) then
    return fill, true, now, true
  end
  local since, tokens = tonumber(sub(word, 1, 16)), tonumber(sub(word, 17))
  local debt = fill < 2 ^ 50 and floor(tokens * num + 0.5) or ceil(tokens * num)
  if debt <= 0 or since < 10 ^ 15 and now >= 10 ^ 15 then
    return fill, true, now, true -- never written
  elseif debt > MAX and tokens >= MAX then
    return fill, true, now, true
  elseif since > now then
    if since - now > SWING then
      return min(debt, MAX), true, now, true
    end
    return min(debt, MAX), true, since, false
  end
  debt = debt - (now - since) * den
  if debt > fill then
    return min(debt, MAX), true, now, false
  end
  return max(debt, 0)
end

-- encode returns the word for a debt at an instant that is written as since. It has so many decimals
-- that decode finds the same number of ticks, or one more for a bucket of 2^50 ticks.
local function encode(debt, num, since)
  local tokens = debt / num
  if tokens < 10 ^ 8 then
    if tokens == floor(tokens) then
      return format('%s%d', since, tokens)
    elseif num < 4 * 10 ^ 6 then
      return format('%s%.7f', since, tokens)
    elseif num < 4 * 10 ^ 9 and tokens < 10 ^ 5 then
      return format('%s%.10f', since, tokens)
    end
  end
  return format(tokens == floor(tokens) and '%s%.0f' or '%s%.15f', since, tokens)
end

local reply, errors = {}, {}
local written, ofserver = false, nil

-- ttl returns in how many microseconds a key expires, or 0 if the server does not say.
local function ttl(key)
  local ms = call('PTTL', key)
  return type(ms) == 'number' and 1000 * ms or 0
end

-- save returns the answer of the server. Two milliseconds more are for rounding up, and for
-- a clock that is read before the server's own for expiry.
local function save(key, state, us)
  local ms = floor(us / 1000) + 2
  local done = call('SET', key, state, 'PX', format(ms < 2 ^ 31 and '%d' or '%.0f', ms))
  written = written or not done.err
  return done
end

-- try returns whether an operation is allowed, and the debt that it leaves.
local function try(kind, cost, debt, fill)
  if kind == TAKE or kind == PEEK then
    if cost > 0 and debt + cost > fill then
      return false, debt
    end
    return true, kind == TAKE and debt + cost or debt
  elseif kind == CREDIT then
    return true, debt >= MAX and debt or max(debt - cost, 0) -- beyond MAX nobody knows how much
  elseif kind == RESET then
    return true, 0
  elseif kind == DRAIN then
    return true, min(debt + cost, max(debt, fill))
  end
  return false, debt
end

local function fail(i, size, err)
  err = match(tostring(err), '^%-?(.*)$')
  if not find(err, '^WRONGTYPE') and not written then
    ofserver = ofserver or err -- any other error would be the same for other keys
  end
  errors[#errors + 1] = err
  for j = 2 * i - 1, 2 * (i + size - 1) do
    reply[j] = 0
  end
  reply[2 * i - 1] = -#errors[#errors]
end

-- By the key, numbered from 1 in its batch: its words, how many they are, what was stored, and,
-- of the buckets the batch asks for, whether one has changed, how many owe something
-- and the time until the last of them is full. By the operation that is the first on a bucket:
-- the debt before and after the batch, the instant from which on time counts, and whether it is to
-- be written in any case.
-- They are here for all batches, since tables cost more than the arithmetic.
local words, count, stored, changed, known, time = {}, {}, {}, {}, {}, {}
local before, after, at, fix = {}, {}, {}, {}

-- read reads the words of the k-th key. It returns an error if there is one.
local function read(k, key)
  local state, list, n = call('GET', key), {}, 0
  if type(state) == 'table' then
    return state.err
  elseif state then
    local from, to = 1, find(state, ' ', 1, true)
    while to do
      n = n + 1
      list[n] = sub(state, from, to - 1)
      from, to = to + 1, find(state, ' ', to + 1, true)
    end
    n = n + 1
    list[n] = from == 1 and state or sub(state, from)
  end
  words[k], count[k], stored[k], changed[k], known[k], time[k] = list, n, state, false, 0, 0
end

-- open returns what decode does for the n-th word of the k-th key. A word that is missing is a full
-- bucket, unless what is there cannot be read.
local function open(k, n, num, den, fill)
  local word = words[k][n]
  if word then
    return decode(word, num, den, fill)
  end
  for i = 1, count[k] do
    if words[k][i] ~= '0' and not find(words[k][i], WORD) then
      return fill, true, now, true
    end
  end
  return 0
end

-- write writes the words of the k-th key. It returns an error if there is one.
local function write(k, key)
  local list, last, owing, us, done = words[k], 0, 0, time[k]
  for n = 1, count[k] do
    local word = list[n]
    if not word then
      list[n] = '0'
    elseif word ~= '0' then
      last, owing = n, owing + 1
    end
  end
  if last > 0 then
    if owing > known[k] then
      us = max(us, ttl(key) - 2000) -- for those the batch does not ask for
    end
    done = save(key, concat(list, ' ', 1, last), us)
  elseif stored[k] then
    done = call('DEL', key)
    written = written or type(done) ~= 'table'
  end
  return type(done) == 'table' and done.err
end

-- convert returns a debt under another limit, rounded up. That is for two limits of one
-- name in one batch.
local function convert(debt, num, to)
  return ceil(debt * (to / num))
end

-- told returns the debts before and after as the client is told them. Under a lower burst than
-- another instance has more may be missing than a bucket holds, and the key expires when it is full
-- under the limit that it was charged by. That is sooner than under a slower one. While the clock is
-- behind, a wait begins when it is where it was.
local function told(key, ok, cost, debt, left, den, fill, since)
  if debt > fill or left > fill then
    local us = ttl(key)
    if us > 0 then
      left = max(min(left, us * den), min(left, fill))
      debt = ok and debt or max(min(debt, us * den - cost + fill), fill - cost + 1)
    end
  end
  return ok and debt or min(debt + (since - now) * den, 2 * MAX - cost), left
end

-- many decides a batch of size operations, from the first-th on, on as many keys behind
-- the key-th.
local function many(first, size, key, keys)
  for k = 1, keys do
    local err = read(k, KEYS[key + k])
    if err then
      return fail(first, size, err)
    end
  end
  local refused, oks = false, {}
  for i = first, first + size - 1 do
    local a = WIDTH * (i - 1)
    local kind, num, fill, k, b = arg[a + 1], arg[a + 3], arg[a + 5], arg[a + 7], first - 1 + arg[a + 8]
    local debt, of = nil, num
    if b == i then
      local odd
      debt, odd, at[i], fix[i] = open(k, arg[a + 6], num, arg[a + 4], fill)
      before[i], at[i] = debt, at[i] or now
    else
      debt, of = after[b], arg[WIDTH * (b - 1) + 3]
      if of ~= num then
        debt = convert(debt, of, num)
      end
    end
    local ok, left = try(kind, arg[a + 2], debt, fill)
    if not ok and (kind == TAKE or kind == NEVER_TAKE) then
      refused = true
    end
    if of ~= num then
      left = convert(left, num, of)
    end
    reply[2 * i - 1], after[b], oks[i] = debt, left, ok
  end
  local debts = refused and before or after
  for i = first, first + size - 1 do
    local a = WIDTH * (i - 1)
    local num, den, k, b = arg[a + 3], arg[a + 4], arg[a + 7], first - 1 + arg[a + 8]
    local debt = debts[b]
    if b == i then
      if debt ~= before[i] or fix[i] then
        local n = arg[a + 6]
        words[k][n], changed[k] = debt > 0 and encode(debt, num, instant(at[i])) or '0', true
        if count[k] < n then
          count[k] = n
        end
      end
      if debt > 0 then
        known[k] = known[k] + 1
        time[k] = max(time[k], debt / den + at[i] - now)
      end
    elseif num ~= arg[WIDTH * (b - 1) + 3] then
      debt = convert(debt, arg[WIDTH * (b - 1) + 3], num)
    end
    reply[2 * i - 1], reply[2 * i] =
      told(KEYS[key + k], oks[i], arg[a + 2], reply[2 * i - 1], debt, den, arg[a + 5], at[b])
  end
  for k = 1, keys do
    local err = changed[k] and write(k, KEYS[key + k])
    if err then
      return fail(first, size, err)
    end
  end
end

-- rule decides a batch of takes or other operations on the limits of one rule, each once and in
-- their order, as most batches are: a shorter way to do what many does. Whatever is
-- unusual it leaves to that.
local function rule(first, size, key)
  local name, refused, change = KEYS[key + 1], false, false
  local state, from = call('GET', name), 1
  if type(state) == 'table' then
    return fail(first, size, state.err)
  end
  local last = 0
  for i = first, first + size - 1 do
    local a, debt, odd = WIDTH * (i - 1), 0, false
    local num, fill, n = arg[a + 3], arg[a + 5], arg[a + 6]
    if n <= last then
      return many(first, size, key, 1)
    end
    while state and from and last < n do
      local to = find(state, ' ', from, true)
      local word = to and sub(state, from, to - 1) or from > 1 and sub(state, from) or state
      from, last = to and to + 1, last + 1
      if last == n then
        debt, odd = decode(word, num, arg[a + 4], fill)
      else
        odd = word ~= '0' -- a limit that the batch does not ask for
      end
      if odd then
        return many(first, size, key, 1)
      end
    end
    if state and last < n then
      return many(first, size, key, 1) -- a missing word is not always a full bucket
    end
    last = n
    local left = debt + arg[a + 2]
    if arg[a + 1] ~= TAKE then
      local ok
      ok, left = try(arg[a + 1], arg[a + 2], debt, fill)
      refused = refused or not ok and arg[a + 1] == NEVER_TAKE
    elseif left > fill then
      refused, left = true, debt
    end
    reply[2 * i - 1], reply[2 * i] = debt, left
    change = change or left ~= debt
  end
  if refused then
    for i = first, first + size - 1 do
      reply[2 * i] = reply[2 * i - 1]
    end
    return
  elseif not change then
    return
  elseif state and from or reply[2 * (first + size - 1)] == 0 then
    return many(first, size, key, 1) -- there are words behind these, or none are left
  end
  local list, us, n = {}, 0, 0
  present = present or instant(now)
  for i = first, first + size - 1 do
    local debt, a = reply[2 * i], WIDTH * (i - 1)
    while n < arg[a + 6] - 1 do
      n = n + 1
      list[n] = '0'
    end
    n = n + 1
    if debt > 0 then
      local den = arg[a + 4]
      list[n] = encode(debt, arg[a + 3], present)
      if us < debt / den then
        us = debt / den
      end
    else
      list[n] = '0'
    end
  end
  local done = save(name, n > 1 and concat(list, ' ') or list[1], us)
  if done.err then
    return fail(first, size, done.err)
  end
end

local i, key, n = 1, 0, #arg / WIDTH
while i <= n do
  local a = WIDTH * (i - 1)
  local keys, size = arg[a + 7], arg[a + 8]
  arg[a + 7], arg[a + 8] = 1, 1
  if keys == 1 then
    rule(i, size, key)
  else
    many(i, size, key, keys)
  end
  if ofserver then
    return { err = ofserver }
  end
  i, key = i + size, key + keys
end
return struct.pack('>' .. string.rep('d', 2 * n), unpack(reply)) .. concat(errors)
