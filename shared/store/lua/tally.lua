-- Adds to several counters of a book at once, or to none if one would pass its cap; once per token.
-- KEYS: book (hash: amount by counter), seen (set of tokens)
-- ARGV: token or "", time to live of the counters in ms, of the tokens in ms, then for each counter: name, amount to add, cap or ""
-- Returns the counter that would have passed its cap or "", then the counters as they stand.
local token, ttl, seen_ttl = ARGV[1], ARGV[2], ARGV[3]
local repeated = token ~= '' and redis.call('SISMEMBER', KEYS[2], token) == 1

local refused = ''
local answer = {}
for i = 4, #ARGV, 3 do
  local name, amount, cap = ARGV[i], tonumber(ARGV[i + 1]), tonumber(ARGV[i + 2])
  local before = tonumber(redis.call('HGET', KEYS[1], name) or '0')
  answer[#answer + 1] = before
  if refused == '' and cap and amount > 0 and before + amount > cap then refused = name end
end
if repeated then refused = '' end

if not repeated and refused == '' then
  for i = 4, #ARGV, 3 do
    answer[(i - 1) / 3] = redis.call('HINCRBY', KEYS[1], ARGV[i], ARGV[i + 1])
  end
  redis.call('PEXPIRE', KEYS[1], ttl)
  if token ~= '' then
    redis.call('SADD', KEYS[2], token)
    redis.call('PEXPIRE', KEYS[2], seen_ttl)
  end
end
table.insert(answer, 1, refused)
return answer
