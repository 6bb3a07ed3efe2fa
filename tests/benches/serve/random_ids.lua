-- Asks for a delivery at random in every request, and says what came of it.
-- The argument is a file of ids of equal length, one a line.

local threads = 0
local ids, width, count, before, after

function setup(thread)
  threads = threads + 1
  thread:set("number", threads)
end

function init(arguments)
  local file = assert(io.open(arguments[1], "rb"))
  ids = file:read("*a")
  file:close()
  width = ids:find("\n", 1, true)
  count = #ids / width
  math.randomseed(number)
  before = "GET /v1/deliveries/"
  after = " HTTP/1.1\r\nHost: " .. wrk.headers["Host"] .. "\r\n\r\n"
end

function request()
  local at = math.random(0, count - 1) * width
  return before .. ids:sub(at + 1, at + width - 1) .. after
end

function done(summary, latency)
  local errors = summary.errors
  local faults = errors.connect + errors.read + errors.write + errors.status + errors.timeout
  io.write(string.format("figures %d %d %d %d %d\n",
    summary.requests, summary.duration, faults, latency:percentile(50), latency:percentile(99)))
end
