-- Decides batches of operations on token buckets, one batch after another: of each batch
-- all operations are applied, or none.
--
-- KEYS are the keys of all batches: one for each rule and identity, which holds the buckets
-- of all limits of the rule. ARGV[1] holds nine numbers for each operation. Five are short: kind,
-- class, limit, key and bucket. Four are doubles, whole and below 2^53, which doubles hold exactly:
-- cost, num, den and fill. What a bucket lacks, its debt, is counted in ticks of 1/den microseconds. A
-- token is num ticks, the cost is in ticks, and fill is the whole bucket. Limit, key and bucket are
-- numbers from 1 on: of the limit in its rule, of the key in the batch, and of the first operation of
-- the batch on the same bucket. For the first operation key and bucket are how many keys and
-- operations the batch has. A class says how many tokens a bucket holds at least: see BURSTS. A kind
-- is 8 more if the operation charges a rule as a whole, of which other versions may be in use: see
-- Carry in package store.
--
-- A key is kept as words, one for each limit, with a space between them. A word says when the bucket
-- changed last, in microseconds, and how many tokens it lacked then. So it means the same under every
-- limit. It also says the class of the limit that charged it last, which counts where another version
-- of the rule has one more limit. It is one of
--
--   0, for a full bucket that nothing has charged.
--   a minus, a digit for the class, which is at most 9, 16 digits for the instant, and 2 for up to 99
--   whole tokens. As the only word of a key it is an integer for the server, which takes no memory of
--   its own.
--   12 bytes: a first byte b of 132 or more, 6 bytes for the instant, and 5 bytes for
--   tokens * 2^(40 - 4f). The instant is 6 * 2^48 more, or 7 * 2^48 if b is above 191: from 2023 to
--   2041. b mod 64 is 4 + 12f + class, with an f from 0 to 4.
--   text: 16 digits for the instant, and the tokens. If part of a token is missing too, a point
--   follows, and 7, 10 or 15 decimals. Then the class may follow, after !. Instead of all digits it may
--   have a 0, for a full bucket that was charged before.
--
-- A word behind the first one also says how many microseconds a token takes, for versions of the
-- rule without its limit: in text after @, or in 3 bytes more. They are the first of a float, which
-- is at most 2^-14 too long.
--
-- Another format must begin with another byte.
--
-- The reply is two doubles for each operation: the debt it found and the debt in the end. If
-- a batch failed its first number is negative, the length of the error. Errors come last.
--
-- If the server does not let the script work, the reply is the server's error as it is: the client
-- may have to drop the connection, or find another server. Nothing has been written then.
--
-- Each call of a script makes its functions and tables anew, which takes as long as a decision. So
-- what is rare is in one function, called rest, which makes them when they are needed: that and the
-- words of 12 bytes took a fifth off the time of a take. A local that functions share is made anew
-- too, so they share few, and some lines are here twice: that took off a sixth of the instructions.

local OP, SIZE = '>BBBHHdddd', 39
local WORD = '^%d%d%d%d%d%d%d%d%d%d%d%d%d%d%d%d%d+%.?%d*$'
local all = unpack or table.unpack
local input, call, unpack, pack = ARGV[1], redis.pcall, struct.unpack, struct.pack
local floor, ceil, min, max = math.floor, math.ceil, math.min, math.max
local byte, find, sub, match, format = string.byte, string.find, string.sub, string.match, string.format
local timed, now = pcall(redis.call, 'TIME')
if not timed then
  return { err = 'NOTIME ' .. tostring(type(now) == 'table' and now.err or now) }
end
now = now[1] * 1000000 + now[2]

-- decode returns the debt that a word says, and nothing more if that is all. Otherwise it
-- returns true, the instant from which on time counts, and whether the word must be written even
-- if nothing changes. What cannot be read is an empty bucket. What is owed under a larger burst
-- stays owed.
local function decode(word, num, den, fill)
  -- The clock may go back by so many microseconds and no time passes for a bucket until it is where
  -- it was. If it goes back further it has been corrected, and time goes on from there.
  local SWING = 10 * 1000000
  local MAX = 2 ^ 52 -- no debt that is decided on is more
  local first, since, tokens = byte(word) or 0, 0, 0
  if first >= 132 and (#word == 12 or #word == 15) then
    local _, low, m = unpack('>BI6I5', word)
    since, tokens = low + (first < 192 and 6 or 7) * 2 ^ 48, m * 2 ^ (floor((first % 64 - 4) / 12) * 4 - 40)
    if first % 64 < 4 then
      tokens = 0
    end
  elseif word == '0' then
    return 0
  elseif first == 45 and #word == 20 and find(word, '^%-%d+$') then
    since, tokens = tonumber(sub(word, 3, 18)), tonumber(sub(word, 19))
  else
    local text = match(word, '^([^@]*)@%d[%d.e+-]*$') or word
    text = match(text, '^(.*)!%d%d?$') or text
    if text == '0' and #word > 1 then
      return 0
    elseif find(text, WORD) then
      since, tokens = tonumber(sub(text, 1, 16)), tonumber(sub(text, 17))
    end
  end
  local debt = fill < 2 ^ 50 and floor(tokens * num + 0.5) or ceil(tokens * num)
  if debt <= 0 and tokens > 0 then
    debt = 1 -- less than a tick, of a slower limit
  end
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

-- encode returns the word for a debt at an instant. By it decode finds the same number of ticks, or
-- one more for a bucket of 2^50 ticks. If the word is the only one, and the server has it as an
-- integer, it is that. Otherwise it is of 12 bytes if that is exact. A word behind the first one
-- is given the time of a token.
local function encode(debt, num, since, class, only, token)
  local tokens = debt / num
  local whole = tokens == floor(tokens)
  if only and whole and tokens < 100 and class > 0 then
    return format('%d%010d%06d%02d', -min(class, 9), floor(since / 1000000), since % 1000000, tokens)
  elseif tokens < 65536 and since >= 6 * 2 ^ 48 and since < 8 * 2 ^ 48 then
    local f, unit = 4, 2 ^ 24
    if tokens < 1 then
      f, unit = 0, 2 ^ 40
    elseif tokens < 16 then
      f, unit = 1, 2 ^ 36
    elseif tokens < 256 then
      f, unit = 2, 2 ^ 32
    elseif tokens < 4096 then
      f, unit = 3, 2 ^ 28
    end
    local m = floor(tokens * unit + 0.5)
    if floor(m / unit * num + 0.5) == debt then
      local first = (since < 7 * 2 ^ 48 and 132 or 196) + 12 * f + class
      local word = pack('>BI6I5', first, since % 2 ^ 48, m)
      return token and word .. sub(pack('>f', token * (1 + 2 ^ -15)), 1, 3) or word
    end
  end
  local text = format('%010d%06d', floor(since / 1000000), since % 1000000)
  if tokens < 10 ^ 8 and whole then
    text = format('%s%d', text, tokens)
  elseif tokens < 10 ^ 8 and num < 4 * 10 ^ 6 then
    text = format('%s%.7f', text, tokens)
  elseif tokens < 10 ^ 5 and num < 4 * 10 ^ 9 then
    text = format('%s%.10f', text, tokens)
  else
    text = format(whole and '%s%.0f' or '%s%.15f', text, tokens)
  end
  if class > 0 then
    text = format('%s!%d', text, class)
  end
  return token and format('%s@%.9g', text, token) or text
end

local reply, errors, key, written, ofserver = { 0, 0 }, nil, 0, false, nil

-- try returns whether an operation is allowed, and the debt that it leaves.
local function try(kind, cost, debt, fill)
  local TAKE, PEEK, CREDIT, RESET, DRAIN = 0, 1, 2, 3, 4 -- any other: more than the bucket can hold
  local MAX = 2 ^ 52
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

-- cut returns the word of a state that begins at from, and where the next begins, or nil.
local function cut(state, from)
  local to
  if (byte(state, from) or 0) >= 128 then
    to = from + (from > 1 and 15 or 12)
    if to > #state then
      return sub(state, from)
    elseif byte(state, to) == 32 then
      return sub(state, from, to - 1), to + 1
    end
    return sub(state, from) -- junk
  end
  to = find(state, ' ', from, true)
  if to then
    return sub(state, from, to - 1), to + 1
  end
  return from > 1 and sub(state, from) or state
end

local many, fail -- made by rest

-- rest makes many and fail, which few calls of the script need.
local function rest()
  local TAKE, PEEK, CREDIT, RESET, DRAIN, NEVER_TAKE = 0, 1, 2, 3, 4, 5
  local MAX, LEADS, WIDTH = 2 ^ 52, 8, 9
  local call, unpack, concat = redis.pcall, struct.unpack, table.concat
  local ceil, min, max = math.ceil, math.min, math.max
  local byte, find, sub, match, format = string.byte, string.find, string.sub, string.match, string.format
  -- By the class: how many tokens a bucket holds at least. Nothing is known of class 0.
  local BURSTS = { 5, 10, 20, 50, 100, 200, 500, 1000, 5000, 20000, 100000 }
  local arg = { unpack('>' .. string.rep('BBBHHdddd', #ARGV[1] / 39), ARGV[1]) }

  function fail(i, size, err)
    err = match(tostring(err), '^%-?(.*)$')
    if not find(err, '^WRONGTYPE') and not written then
      ofserver = ofserver or err -- any other error would be the same for other keys
    end
    errors = errors or {}
    errors[#errors + 1] = err
    for j = 2 * i - 1, 2 * (i + size - 1) do
      reply[j] = 0
    end
    reply[2 * i - 1] = -#err
  end

  -- ttl returns in how many microseconds a key expires, or 0 if the server does not say.
  local function ttl(key)
    local ms = call('PTTL', key)
    return type(ms) == 'number' and 1000 * ms or 0
  end

  -- By the key, numbered from 1 in its batch: its words, how many they are, what was stored, and,
  -- of the buckets the batch asks for, whether one has changed, how many owe something
  -- and the time until the last of them is full. By the operation that is the first on a bucket:
  -- the debt that was stored, the debt before and after the batch, the instant from which on time
  -- counts, and whether it is to be written in any case.
  -- They are here for all batches, since tables cost more than the arithmetic.
  local words, count, stored, changed, known, time = {}, {}, {}, {}, {}, {}
  local found, before, after, at, fix, leads = {}, {}, {}, {}, {}, {}

  -- read reads the words of the k-th key. It returns an error if there is one.
  local function read(k, key)
    local state, list, n = call('GET', key), {}, 0
    if type(state) == 'table' then
      return state.err
    elseif state then
      local from = 1
      repeat
        n = n + 1
        list[n], from = cut(state, from)
      until not from
    end
    words[k], count[k], stored[k], changed[k], known[k], time[k] = list, n, state, false, 0, 0
  end

  -- save returns the answer of the server. Two milliseconds more are for rounding up, and for
  -- a clock that is read before the server's own for expiry.
  local function save(name, state, us)
    local ms = floor(us / 1000) + 2
    local done = call('SET', name, state, 'PX', format(ms < 2 ^ 31 and '%d' or '%.0f', ms))
    written = written or not done.err
    return done
  end

  -- short returns whether a word is of 12 or 15 bytes.
  local function short(word)
    return (#word == 12 or #word == 15) and byte(word) >= 132
  end

  -- readable returns whether a word has a form that is written.
  local function readable(word)
    local text = match(match(word, '^[^@]*'), '^[^!]*')
    return short(word) or text == '0' or find(text, WORD) or #word == 20 and find(word, '^%-%d+$')
  end

  -- full returns the word for a full bucket that was charged before.
  local function full(class, token)
    return format('0!%d@%.9g', class, token)
  end

  -- open returns what decode does for the n-th word of the k-th key. A word that is missing is a full
  -- bucket, unless what is there cannot be read.
  local function open(k, n, num, den, fill)
    local word = words[k][n]
    if word then
      return decode(word, num, den, fill)
    end
    for i = 1, count[k] do
      local word = words[k][i]
      if word ~= '0' and not readable(word) then
        return fill, true, now, true
      end
    end
    return 0
  end

  -- leader returns the operation that charges the rule of the k-th key as a whole, if there is one.
  local function leader(first, size, k)
    for i = first, first + size - 1 do
      local a = WIDTH * (i - 1)
      if arg[a + 3] == 1 and arg[a + 4] == k and leads[i] then
        return a
      end
    end
  end

  -- kin returns the numbers of the words of the k-th key that the batch does not ask for.
  local function kin(first, size, k)
    local own, others = {}, {}
    for i = first, first + size - 1 do
      local a = WIDTH * (i - 1)
      if arg[a + 4] == k then
        own[arg[a + 3]] = true
      end
    end
    for n = 2, count[k] do
      if not own[n] and words[k][n] and words[k][n] ~= '0' then
        others[#others + 1] = n
      end
    end
    return others
  end

  -- classof returns the class that a word says.
  local function classof(word)
    if short(word) then
      return max(byte(word) % 64 - 4, 0) % 12
    end
    return tonumber(match(word, '^%-(%d)') or match(word, '!(%d+)')) or 0
  end

  -- begun returns the debt with which a new bucket of the k-th key begins, and the instant from
  -- which on time counts: see Carry in package store. Of the larger burst, its own or that of the
  -- limit that charged another bucket, there is left what that one did not lack then. All other
  -- buckets count, because only versions without this one have charged them.
  local function begun(first, size, k, num, den, fill)
    local debt, at = 0, now
    for n = 1, leader(first, size, k) and count[k] or 0 do
      local word = words[k][n]
      if word and word ~= '0' then
        local spent, lacks, _, since = decode(word, num, 0, 2 ^ 60), decode(word, num, den, 2 ^ 60)
        lacks = min(lacks, fill, fill + spent - (BURSTS[classof(word)] or 0) * num)
        if lacks > debt then
          debt, at = lacks, max(at, since or now)
        end
      end
    end
    return debt, at
  end

  -- spread changes the words of the k-th key that the batch does not ask for as it has changed the
  -- first bucket: see Spread in package store.
  local function spread(first, size, k)
    local a = leader(first, size, k)
    for _, n in ipairs(a and kin(first, size, k) or {}) do
      local word = words[k][n]
      local token = #word == 15 and short(word) and unpack('>f', sub(word, 13) .. '\0')
        or tonumber(match(word, '^[^@]*@(%d[%d.e+-]*)$'))
      local kind, tokens = arg[a + 1], ceil(arg[a + 6] / arg[a + 7])
      if token and token > 0 and kind ~= PEEK and (tokens > 0 or kind == RESET) then
        local num, den = 2 ^ 20, 2 ^ 20 / token
        local debt, _, at = decode(word, num, den, 2 ^ 60)
        if kind == TAKE or kind == DRAIN then
          debt = min(debt + tokens * num, MAX)
        elseif kind == CREDIT then
          debt = max(debt - tokens * num, 0)
        elseif kind == RESET then
          debt = 0
        end
        at = at or now
        local class = classof(word)
        words[k][n] = debt > 0 and encode(debt, num, at, class, false, token) or full(class, token)
        changed[k], known[k] = true, known[k] + (debt > 0 and 1 or 0)
        time[k] = max(time[k], debt / den + at - now)
      end
    end
  end

  -- write writes the words of the k-th key, if any bucket is not full. It returns an error if there is
  -- one.
  local function write(k, key)
    local list, last, owing, us, done = words[k], 0, 0, time[k]
    for n = 1, count[k] do
      local word = list[n]
      if not word then
        list[n] = '0'
      elseif word ~= '0' then
        last, owing = n, owing + (find(word, '^0') and 0 or 1)
      end
    end
    if owing > 0 then
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
  function many(first, size, key, keys)
    arg[WIDTH * (first - 1) + 4], arg[WIDTH * (first - 1) + 5] = 1, 1
    for i = first, first + size - 1 do
      local a = WIDTH * (i - 1)
      leads[i] = arg[a + 1] >= LEADS
      arg[a + 1] = arg[a + 1] - (leads[i] and LEADS or 0)
    end
    for k = 1, keys do
      local err = read(k, KEYS[key + k])
      if err then
        return fail(first, size, err)
      end
    end
    local refused, oks = false, {}
    for i = first, first + size - 1 do
      local a = WIDTH * (i - 1)
      local kind, num, fill, k, b = arg[a + 1], arg[a + 7], arg[a + 9], arg[a + 4], first - 1 + arg[a + 5]
      local debt, of = nil, num
      if b == i then
        local n, den, odd = arg[a + 3], arg[a + 8], nil
        debt, odd, at[i], fix[i] = open(k, n, num, den, fill)
        at[i], found[i] = at[i] or now, debt
        if n > 1 and (words[k][n] or '0') == '0' and count[k] > 0 then
          local more, since = begun(first, size, k, num, den, fill)
          debt, at[i] = max(debt, more), max(at[i], since)
        end
        before[i] = debt
      else
        debt, of = after[b], arg[WIDTH * (b - 1) + 7]
        if of ~= num then
          debt = convert(debt, of, num)
        end
      end
      local ok, left = try(kind, arg[a + 6], debt, fill)
      if not ok and (kind == TAKE or kind == NEVER_TAKE) then
        refused = true
      end
      if of ~= num then
        left = convert(left, num, of)
      end
      reply[2 * i - 1], after[b], oks[i] = debt, left, ok
    end
    -- A key in which no bucket changes is left as it is: the next batch lets new buckets begin alike.
    local debts, moved = refused and before or after, {}
    for i = first, first + size - 1 do
      if before[i] and (debts[i] ~= before[i] or fix[i]) then
        moved[arg[WIDTH * (i - 1) + 4]] = true
      end
    end
    for i = first, first + size - 1 do
      local a = WIDTH * (i - 1)
      local num, den, k, b = arg[a + 7], arg[a + 8], arg[a + 4], first - 1 + arg[a + 5]
      local debt = debts[b]
      if b == i then
        if moved[k] and (debt ~= found[i] or fix[i]) then
          local class, n, word = arg[a + 2], arg[a + 3], '0'
          if debt > 0 then
            word = encode(debt, num, at[i], class, false, n > 1 and num / den)
          elseif n > 1 and leader(first, size, k) then
            word = full(class, num / den) -- no new one from now on
          end
          words[k][n], changed[k] = word, true
          if count[k] < n then
            count[k] = n
          end
        end
        if debt > 0 then
          known[k] = known[k] + 1
          time[k] = max(time[k], debt / den + at[i] - now)
        end
      elseif num ~= arg[WIDTH * (b - 1) + 7] then
        debt = convert(debt, arg[WIDTH * (b - 1) + 7], num)
      end
      reply[2 * i - 1], reply[2 * i] =
        told(KEYS[key + k], oks[i], arg[a + 6], reply[2 * i - 1], debt, den, arg[a + 9], at[b])
    end
    for k = 1, keys do
      if not refused then
        spread(first, size, k)
      end
      local err = changed[k] and write(k, KEYS[key + k])
      if err then
        return fail(first, size, err)
      end
    end
  end
end

-- rule decides a batch of takes or other operations on the limits of one rule, each once and in
-- their order, as most batches are: a shorter way to do what many does. Whatever is
-- unusual it leaves to that.
local function rule(first, size, kind, class, n, cost, num, den, fill)
  local TAKE, NEVER_TAKE, LEADS = 0, 5, 8
  local name, refused, change, skipped = KEYS[key + 1], false, false, false
  local state, from = call('GET', name), 1
  if type(state) == 'table' then
    rest()
    return fail(first, size, state.err)
  end
  local last, us, list, only = 0, 0, nil, nil
  for i = first, first + size - 1 do
    if i > first then
      local _
      kind, class, n, _, _, cost, num, den, fill = unpack(OP, input, SIZE * (i - 1) + 1)
    end
    if kind >= LEADS then
      kind = kind - LEADS
    end
    local debt, odd = 0, n <= last
    while not odd and state and from and last < n do
      local word
      word, from = cut(state, from)
      last = last + 1
      if last == n then
        debt, odd = decode(word, num, den, fill)
        odd = odd or n > 1 and word == '0' -- other versions may have charged it: see begun
      else
        odd = word ~= '0' -- a limit that the batch does not ask for
      end
    end
    if odd or state and last < n then -- a missing word is not always a full bucket
      rest()
      return many(first, size, key, 1)
    end
    local left = debt + cost
    if kind ~= TAKE then
      local ok
      ok, left = try(kind, cost, debt, fill)
      refused = refused or not ok and kind == NEVER_TAKE
    elseif left > fill then
      refused, left = true, debt
    end
    reply[2 * i - 1], reply[2 * i] = debt, left
    change = change or left ~= debt
    if refused then
      list = nil
    elseif not change or left == 0 then
      skipped = true
    elseif not skipped then
      local word = encode(left, num, now, class, size == 1 and n == 1, n > 1 and num / den)
      us = max(us, left / den)
      if size == 1 and n == 1 then
        only = word
      else
        list = list or {}
        for j = #list + 1, n - 1 do
          list[j] = '0'
        end
        list[n] = word
      end
    end
    last = n
  end
  if refused then
    for i = first, first + size - 1 do
      reply[2 * i] = reply[2 * i - 1]
    end
    return
  elseif not change then
    return
  elseif skipped or state and from then
    rest()
    return many(first, size, key, 1) -- there are words behind these, or some are of full buckets
  end
  local ms = floor(us / 1000) + 2 -- as in save
  local done = call('SET', name, only or table.concat(list, ' '), 'PX', format(ms < 2 ^ 31 and '%d' or '%.0f', ms))
  if done.err then
    rest()
    return fail(first, size, done.err)
  end
  written = true
end

local i, n = 1, #input / SIZE
while i <= n do
  local kind, class, limit, keys, size, cost, num, den, fill = unpack(OP, input, SIZE * (i - 1) + 1)
  if keys == 1 then
    rule(i, size, kind, class, limit, cost, num, den, fill)
  else
    rest()
    many(i, size, key, keys)
  end
  if ofserver then
    return { err = ofserver }
  end
  i, key = i + size, key + keys
end
if n == 1 and not errors then
  return pack('>dd', reply[1], reply[2])
end
return pack('>' .. string.rep('d', 2 * n), all(reply)) .. table.concat(errors or {})
