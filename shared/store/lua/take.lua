-- Takes one permit of a sliding window, once per token, and none while a mark stands.
-- KEYS: bucket (sorted set: token by the time it was granted), marks
-- ARGV: token, limit, window in ms, now in ms, time to live of the bucket in ms, the mark's key (or nothing)
-- Returns 0 when granted, else how many ms to wait.
local token, limit, window, now, ttl = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4]), ARGV[5]
if redis.call('ZSCORE', KEYS[1], token) then return 0 end
local mark = redis.call('HGET', KEYS[2], ARGV[6])
local stands_until = mark and tonumber(string.match(mark, '^%d+')) or 0
if stands_until > now then return stands_until - now end
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', string.format('%d', now - window))
-- A permit from further ahead than a window was given out by a clock that has been set back since.
redis.call('ZREMRANGEBYSCORE', KEYS[1], '(' .. string.format('%d', now + window), '+inf')
local taken = redis.call('ZRANGE', KEYS[1], -limit, -limit, 'WITHSCORES')
if #taken > 0 then return tonumber(taken[2]) + window - now end
redis.call('ZADD', KEYS[1], ARGV[4], token)
redis.call('PEXPIRE', KEYS[1], ttl)
return 0
