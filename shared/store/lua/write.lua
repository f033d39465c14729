-- Inserts or replaces a job's row if its version is the expected one, and moves its index entries along.
-- A row is one string: "version status created_at token token ...\n" and then the document.
-- KEYS: row, listing, due, expiry, outstanding, counts
-- ARGV: expected version ("0": no such row yet), token, tokens to keep, id,
--       version, status, created_at (fixed width), due_at or "", expires_at or "", document
-- Returns 1 if written (now, or before by this very token), else 0.
local row, listing, due, expiry, outstanding, counts = unpack(KEYS)
local expected, token, keep, id, version, status, created_at, due_at, expires_at, document = unpack(ARGV)

local tokens = {token}
local was_status, was_created_at
local stored = redis.call('GET', row)
if stored then
  local was_version, seen
  was_version, was_status, was_created_at, seen = string.match(stored, '^(%d+) (%S+) (%d+) ([^\n]*)\n')
  for word in string.gmatch(seen, '%S+') do
    if word == token then return 1 end
    if #tokens < tonumber(keep) then tokens[#tokens + 1] = word end
  end
  if was_version ~= expected then return 0 end
elseif expected ~= '0' then
  return 0
end

-- First of all writes: a server without memory refuses it, and refuses none that follow a successful one.
local header = version .. ' ' .. status .. ' ' .. created_at .. ' ' .. table.concat(tokens, ' ')
redis.call('SET', row, header .. '\n' .. document)

if stored then
  redis.call('ZREM', listing, '*:' .. was_created_at .. ':' .. id, was_status .. ':' .. was_created_at .. ':' .. id)
  redis.call('ZREM', outstanding, was_created_at .. ':' .. id)
  redis.call('HINCRBY', counts, was_status, -1)
end
redis.call('ZADD', listing, 0, '*:' .. created_at .. ':' .. id, 0, status .. ':' .. created_at .. ':' .. id)
redis.call('HINCRBY', counts, status, 1)
if due_at == '' then
  redis.call('ZREM', due, id)
else
  redis.call('ZADD', due, due_at, id)
  redis.call('ZADD', outstanding, 0, created_at .. ':' .. id)
end
if expires_at == '' then
  redis.call('ZREM', expiry, id)
else
  redis.call('ZADD', expiry, expires_at, id)
end
return 1
