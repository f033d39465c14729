-- Sets a mark in the one hash of marks, as "expires_at value", and clears away those whose time has passed.
-- KEYS: marks
-- ARGV: key, value, now in ms, expires_at in ms
local key, value, now, expires_at = unpack(ARGV)
local entries = redis.call('HGETALL', KEYS[1])
for i = 1, #entries, 2 do
  if tonumber(string.match(entries[i + 1], '^%d+')) <= tonumber(now) then
    redis.call('HDEL', KEYS[1], entries[i])
  end
end
redis.call('HSET', KEYS[1], key, expires_at .. ' ' .. value)
return 1
