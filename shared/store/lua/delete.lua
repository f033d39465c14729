-- Removes a job's row and all its index entries.
-- KEYS: row, listing, due, expiry, outstanding, counts
-- ARGV: id
local row, listing, due, expiry, outstanding, counts = unpack(KEYS)
local id = ARGV[1]
local stored = redis.call('GET', row)
if not stored then return 0 end
local status, created_at = string.match(stored, '^%d+ (%S+) (%d+) ')
redis.call('DEL', row)
redis.call('ZREM', listing, '*:' .. created_at .. ':' .. id, status .. ':' .. created_at .. ':' .. id)
redis.call('ZREM', outstanding, created_at .. ':' .. id)
redis.call('ZREM', due, id)
redis.call('ZREM', expiry, id)
redis.call('HINCRBY', counts, status, -1)
return 1
