-- Sets a key that is free or held by the same value, and renews its time to live.
-- KEYS: claim
-- ARGV: value, time to live in ms
-- Returns the value that holds the key now.
local held = redis.call('GET', KEYS[1])
if held and held ~= ARGV[1] then return held end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return ARGV[1]
