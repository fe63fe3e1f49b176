-- One decision of the limiter, atomic. The arithmetic is that of counters.py and windows.py, in doubles that stay
-- exact because every number is an integer below 2^53.
--
-- KEYS[1] is the mark that the counts are whole; KEYS[2..] hold one count a rule.
-- ARGV[1]: mode, now (ms), grant, and the rules: kind, amount, need, a, b, lease end (ms), time to live (ms). All of it
-- is one MessagePack value, because a client spends more on fifty arguments than on all else.
--   kind fixed: a string; its key names the window. a = its end.
--   kind sliding: a hash of slices. a = the current slice, b = slices a window.
--   kind bucket: a hash of used, rest, since. a = the current tick, b = ticks a window.
--   kind lease: a sorted set of grants by the end of their lease.
-- The answer is one MessagePack value too, for the same reason.
-- mode reserve: add every need or none. Returns {1 or 0, used, mark, used, mark, ...}; the marks are those of model.py.
-- mode read: add nothing. The same answer.
-- mode settle: add need, which may be negative, where the grant was counted (a = its slice). Returns {1}.
-- mode restore: add every need, unless the counts are whole; they are then. Returns {1 or 0}.
-- Every mode but restore returns {-1} when the mark is missing: Redis has lost its data.

local call = cmsgpack.unpack(ARGV[1])
local mode, now, grant, rows = call[1], call[2], call[3], call[4]

local function rule(i)
  local row = rows[i]
  return {
    key = KEYS[i + 1], kind = row[1], amount = row[2], need = row[3], a = row[4], b = row[5], lease_end = row[6],
    ttl = row[7],
  }
end

local function refill(r)
  local stored = redis.call('HMGET', r.key, 'used', 'rest', 'since')
  local used, rest, since = tonumber(stored[1] or 0), tonumber(stored[2] or 0), tonumber(stored[3] or 0)
  local passed = r.a - since
  if passed <= 0 then
    if -passed > r.b then
      return 0, 0, r.a
    end
    return used, rest, since
  end
  local whole = math.floor(passed / r.b)
  local elapsed = passed - whole * r.b
  local quotient = math.floor(r.amount / r.b)
  local part = elapsed * (r.amount - quotient * r.b) + rest
  local divided = math.floor(part / r.b)
  local back = whole * r.amount + elapsed * quotient + divided
  if back >= used then
    return 0, 0, r.a
  end
  return used - back, part - divided * r.b, r.a
end

local read = {
  fixed = function(r)
    r.used, r.mark = tonumber(redis.call('GET', r.key) or 0), r.a
  end,
  sliding = function(r)
    r.used, r.slices, r.outside = 0, {}, {}
    local newest = nil
    local stored = redis.call('HGETALL', r.key)
    for i = 1, #stored, 2 do
      local at, count = tonumber(stored[i]), tonumber(stored[i + 1])
      if math.abs(at - r.a) <= r.b then
        r.used = r.used + count
        r.slices[#r.slices + 1] = { at = at, count = count }
        newest = math.max(newest or at, at)
      else
        r.outside[#r.outside + 1] = stored[i]
      end
    end
    r.mark = newest or r.a
  end,
  bucket = function(r)
    r.used, r.rest, r.since = refill(r)
    r.mark = r.rest
  end,
  lease = function(r)
    r.used = redis.call('ZCOUNT', r.key, '(' .. now, '+inf')
    local first = redis.call('ZRANGEBYSCORE', r.key, '(' .. now, '+inf', 'WITHSCORES', 'LIMIT', 0, 1)
    r.mark = tonumber(first[2] or 0)
  end,
}

local function keep(r)
  redis.call('PEXPIRE', r.key, r.ttl)
end

local add = {
  fixed = function(r)
    r.used = redis.call('INCRBY', r.key, r.need)
    keep(r)
  end,
  sliding = function(r)
    if redis.call('HINCRBY', r.key, r.a, r.need) == r.need and #r.outside > 0 then
      redis.call('HDEL', r.key, unpack(r.outside))
    end
    r.used, r.mark = r.used + r.need, math.max(r.mark, r.a)
    keep(r)
  end,
  bucket = function(r)
    r.used = r.used + r.need
    redis.call('HSET', r.key, 'used', r.used, 'rest', r.rest, 'since', r.since)
    keep(r)
  end,
  lease = function(r)
    redis.call('ZREMRANGEBYSCORE', r.key, '-inf', now)
    redis.call('ZADD', r.key, r.lease_end, grant)
    local first = redis.call('ZRANGE', r.key, 0, 0, 'WITHSCORES')
    r.used, r.mark = redis.call('ZCARD', r.key), tonumber(first[2])
    local last = redis.call('ZRANGE', r.key, -1, -1, 'WITHSCORES')
    redis.call('PEXPIRE', r.key, math.max(1, tonumber(last[2]) - now))
  end,
}

local settle = {
  fixed = function(r)
    if r.need > 0 then
      add.fixed(r)
    elseif redis.call('EXISTS', r.key) == 1 and redis.call('INCRBY', r.key, r.need) < 0 then
      redis.call('SET', r.key, 0, 'KEEPTTL')
    end
  end,
  sliding = function(r)
    if r.need > 0 then
      redis.call('HINCRBY', r.key, r.a, r.need)
      keep(r)
    elseif redis.call('HEXISTS', r.key, r.a) == 1 and redis.call('HINCRBY', r.key, r.a, r.need) < 0 then
      redis.call('HSET', r.key, r.a, 0)
    end
  end,
  bucket = function(r)
    read.bucket(r)
    if r.used + r.need <= 0 then
      r.need, r.rest = -r.used, 0
    end
    add.bucket(r)
  end,
  lease = function(r)
    redis.call('ZREM', r.key, grant)
  end,
}

-- The slice whose leaving makes room for the need.
local function room_mark(r)
  table.sort(r.slices, function(x, y) return x.at < y.at end)
  local left = r.used
  for _, slice in ipairs(r.slices) do
    left = left - slice.count
    if left + r.need <= r.amount then
      return slice.at
    end
  end
  return r.a
end

local whole = redis.call('EXISTS', KEYS[1]) == 1
if mode == 'restore' then
  if whole then
    return cmsgpack.pack({ 0 })
  end
  for i = 1, #KEYS - 1 do
    local r = rule(i)
    read[r.kind](r)
    add[r.kind](r)
  end
  redis.call('SET', KEYS[1], 1)
  return cmsgpack.pack({ 1 })
end
if not whole then
  return cmsgpack.pack({ -1 })
end

local rules, fits = {}, true
for i = 1, #KEYS - 1 do
  local r = rule(i)
  rules[i] = r
  if mode == 'settle' then
    settle[r.kind](r)
  else
    read[r.kind](r)
    r.broken = mode == 'reserve' and r.need > 0 and r.used + r.need > r.amount
    fits = fits and not r.broken
  end
end
if mode == 'settle' then
  return cmsgpack.pack({ 1 })
end

local answer = { fits and 1 or 0 }
for i, r in ipairs(rules) do
  if mode == 'reserve' and fits and r.need > 0 then
    add[r.kind](r)
  elseif r.broken and r.kind == 'sliding' then
    r.mark = room_mark(r)
  end
  answer[2 * i] = r.used
  answer[2 * i + 1] = r.mark
end
return cmsgpack.pack(answer)
