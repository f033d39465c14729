-- Frees a key if it holds the value.
-- KEYS: claim
-- ARGV: value
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('DEL', KEYS[1])
