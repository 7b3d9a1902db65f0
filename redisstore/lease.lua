-- Acquires, renews or releases leases: of those to acquire, all or none.
--
-- KEYS[i] is the set of the leases that lease i is counted with: their IDs, by the instant
-- (milliseconds) at which they end. ARGV[1] is a byte for the kind, and for each lease its ID (16
-- bytes), the most there may be, and the time it lasts (milliseconds), both as doubles.
--
-- The reply is a digit for each lease: 0 if it was not granted, 1 if it was there, 2 if it is new.

local ACQUIRE, RENEW, RELEASE = 0, 1, 2 -- as in package ratelimit
-- No lease lasts longer than an hour. The clock may go back by ten seconds: see apply.lua.
local LONGEST = 3610 * 1000
local call, arg = redis.call, ARGV[1]
local kind = string.byte(arg)
local timed, time = pcall(redis.call, 'TIME')
if not timed then
  return { err = 'NOTIME ' .. tostring(type(time) == 'table' and time.err or time) }
end
local now = time[1] * 1000 + math.floor(time[2] / 1000)

local function lease(i)
  local id, most, ttl = struct.unpack('>c16dd', arg, 32 * i - 30)
  return KEYS[i], id, most, ttl
end

-- hold makes a lease last from now on. The set lasts as long as the last of its leases; a
-- millisecond more is for the rounding of now.
local function hold(key, id, ttl)
  call('ZADD', key, now + ttl, id)
  if call('PTTL', key) <= ttl then
    call('PEXPIRE', key, ttl + 1)
  end
end

-- shorten makes leases that end later than any can last from now on. They are of a time before the
-- clock was corrected, and their instances may have died. The user may lack the right to look.
local function shorten(key, ttl)
  local ids = redis.pcall('ZRANGEBYSCORE', key, now + math.max(LONGEST, ttl), '+inf', 'LIMIT', 0, 1000)
  for _, id in ipairs(ids) do
    hold(key, id, ttl)
  end
end

-- The first command that writes. An error of call would have other words around it on old servers,
-- and the client would not know it.
for i = 1, #KEYS do
  local done = redis.pcall('ZREMRANGEBYSCORE', KEYS[i], '-inf', now)
  if type(done) == 'table' then
    return { err = done.err }
  end
end

local granted, fresh, refused = {}, {}, false
for i = 1, #KEYS do
  local key, id, most, ttl = lease(i)
  local answer = call('ZSCORE', key, id) and '1' or '0'
  if kind == RELEASE then
    call('ZREM', key, id)
  elseif kind == RENEW then
    hold(key, id, ttl)
  elseif answer == '0' then
    if call('ZCARD', key) < most then
      answer = '2'
      fresh[#fresh + 1] = i
      call('ZADD', key, now + ttl, id)
    else
      refused = true
      shorten(key, ttl)
    end
  end
  granted[i] = answer
end

if kind == ACQUIRE then
  if refused then
    for _, i in ipairs(fresh) do
      local key, id = lease(i)
      call('ZREM', key, id)
    end
  else
    for i = 1, #KEYS do
      local key, id, _, ttl = lease(i)
      hold(key, id, ttl)
    end
  end
end
return table.concat(granted)
