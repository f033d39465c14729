-- Posts bodies of which no two are alike, and prints what came of it as one line of JSON.
-- Arguments after wrk's own: what is before and behind the number in a body.

local number = 0
local before, behind

function setup(thread)
  thread:set("seed", os.time())
end

function init(args)
  before, behind = args[1], args[2]
  wrk.method = "POST"
  wrk.headers["Content-Type"] = "application/json"
end

function request()
  number = number + 1
  return wrk.format(nil, nil, nil, before .. seed .. "-" .. number .. behind)
end

function done(summary, latency)
  io.write(string.format(
    '{"requests": %d, "duration_us": %d, "failed": %d, "p50_us": %d, "p99_us": %d}\n',
    summary.requests, summary.duration,
    summary.errors.status + summary.errors.connect + summary.errors.read + summary.errors.write + summary.errors.timeout,
    latency:percentile(50), latency:percentile(99)))
end
