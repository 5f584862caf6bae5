-- What wrk sends, and how it holds each answer against what is right.
--
--   wrk -t CLIENTS -c CLIENTS -d SECONDSs -s wrk.lua URL -- BODIES_DIRECTORY CLIENTS PATTERN
--
-- wrk asks `request` for what to send, and tells `response` what came. Both belong to a thread, not to a
-- connection, so each thread must have one connection only: then an answer is that to the last request.
--
-- BODIES_DIRECTORY has a file `index`, a line for each body: its file's name, a tab, its Content-Type, a tab,
-- the class ids that are to come first in the answer, with commas in between. PATTERN finds them in an answer.
-- `done` prints what Python reads: a JSON object.

local ffi = require("ffi")
ffi.cdef [[
  typedef struct { long seconds; long nanoseconds; } clock_time;
  int clock_gettime(int clock, clock_time *time);
]]
local MONOTONIC = 1
local now_time = ffi.new("clock_time")

local function now_ms()
  ffi.C.clock_gettime(MONOTONIC, now_time)
  return tonumber(now_time.seconds) * 1e3 + tonumber(now_time.nanoseconds) / 1e6
end

local threads = {}

function setup(thread)
  table.insert(threads, thread)
  thread:set("number", #threads - 1)
end

local requests, answers, current, started = {}, {}, 0, 0

function init(args)
  local directory, clients, given = args[1], tonumber(args[2]), args[3]
  pattern = given
  latencies, wrong, first_wrong = {}, 0, ""
  local lines = {}
  for line in io.lines(directory .. "/index") do
    table.insert(lines, line)
  end
  -- Each client has bodies of its own, as far as there are enough.
  local groups = math.min(clients, #lines)
  for line_number, line in ipairs(lines) do
    if line_number % groups == number % groups then
      local name, kind, ids = line:match("^(.-)\t(.-)\t(.-)$")
      local file = io.open(directory .. "/" .. name, "rb")
      local headers = { ["Content-Type"] = kind }
      table.insert(requests, wrk.format("POST", nil, headers, file:read("*a")))
      table.insert(answers, ids)
      file:close()
    end
  end
end

function request()
  current = current % #requests + 1
  started = now_ms()
  return requests[current]
end

function response(status, headers, body)
  table.insert(latencies, now_ms() - started)
  local found = {}
  for id in body:gmatch(pattern) do
    table.insert(found, id)
  end
  if status ~= 200 or table.concat(found, ",") ~= answers[current] then
    wrong = wrong + 1
    first_wrong = status .. ": " .. table.concat(found, ",") .. " in place of " .. answers[current]
  end
end

function done(summary)
  local all, sum_wrong, example = {}, 0, ""
  for _, thread in ipairs(threads) do
    for _, latency in ipairs(thread:get("latencies")) do
      table.insert(all, string.format("%.3f", latency))
    end
    sum_wrong = sum_wrong + thread:get("wrong")
    example = example .. thread:get("first_wrong")
  end
  local errors = summary.errors
  print(string.format(
    '{"seconds": %.6f, "errors": %d, "wrong": %d, "example": "%s", "latencies_ms": [%s]}',
    summary.duration / 1e6, errors.connect + errors.read + errors.write + errors.timeout, sum_wrong,
    example:sub(1, 200), table.concat(all, ", ")))
end
