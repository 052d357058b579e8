-- A stoker worker in Lua 5.4: three kinds of jobs, and every kind of reply.
--
--     {"kind": "words", "text": "to be or not"}      {"characters": 12, "words": 4, "longest": "not"}
--     {"kind": "factor", "n": 600851475143}          {"factors": [71, 839, 1471, 6857]}
--     {"kind": "count", "path": "/etc/services"}     {"lines": 361, "bytes": 12813}
--
-- JSON by dkjson (Debian: lua-dkjson), which keeps integers whole; lua-cjson is faster and writes 14 digits.
-- Try it by hand:  echo '{"id":"1","payload":{"kind":"factor","n":360}}' | lua5.4 worker.lua

local json = require "dkjson"

local PIECE <const> = 8 * 1024 * 1024 -- bytes of a file between two words about progress
local MAX_SAFE <const> = 2^53 - 1 -- beyond it other languages round, those that submit jobs included
local MAX_LOAD <const> = tonumber(os.getenv "MAX_LOAD") or 50 -- above it, files are left for later
local LATER_SECS <const> = 30
local PERMANENT <const> = { [2] = true, [20] = true, [21] = true } -- ENOENT, ENOTDIR, EISDIR

-- stdout is for replies alone; print and io.write, ours or a library's, go to the log.
local replies = io.stdout
io.output(io.stderr)
function print(...)
  local texts = {}
  for i = 1, select("#", ...) do texts[i] = tostring((select(i, ...))) end
  io.stderr:write(table.concat(texts, "\t"), "\n")
end

local function send(reply)
  replies:write(json.encode(reply), "\n")
  replies:flush() -- a reply that sits in a buffer was never sent
end

-- An error that is a table chooses the reply; any other may pass, and the queue's backoff tries again.
local function refuse(message) error { status = "error", message = message, retry = false } end

local function expect(wanted, message) if not wanted then refuse(message) end end

local function fail(path, message, code)
  if PERMANENT[code] then refuse(message) end
  error { status = "error", message = message or path }
end

local kinds = {}

function kinds.words(payload)
  local text = payload.text
  expect(type(text) == "string", "text: expected a string")
  local count, most, longest = 0, 0, ""
  for word in text:gmatch "%S+" do
    count = count + 1
    local length = utf8.len(word) -- characters; #word counts bytes
    if length > most then most, longest = length, word end
  end
  return { characters = utf8.len(text), words = count, longest = longest }
end

function kinds.factor(payload)
  local n = payload.n
  expect(math.type(n) == "integer" and n >= 1 and n <= MAX_SAFE, "n: expected a whole number from 1 to 2^53 - 1")
  local factors = setmetatable({}, { __jsontype = "array" }) -- or an empty one would be written as {}
  local p = 2
  while p * p <= n do
    while n % p == 0 do
      factors[#factors + 1] = p
      n = n // p
    end
    p = p + (p == 2 and 1 or 2)
  end
  if n > 1 then factors[#factors + 1] = n end
  return { factors = factors }
end

local function busy()
  local loadavg = io.open "/proc/loadavg" -- Linux only; elsewhere it is never busy
  if not loadavg then return false end
  local load = loadavg:read "n"
  loadavg:close()
  return load >= MAX_LOAD
end

function kinds.count(payload, progress)
  local path = payload.path
  -- C would end the name at a zero byte, and open another file.
  expect(type(path) == "string" and not path:find("\0", 1, true), "path: expected the name of a file")
  if busy() then error { status = "throttled", retry_after_secs = LATER_SECS } end
  local file <close>, message, code = io.open(path, "rb")
  if not file then fail(path, message, code) end
  local total = file:seek "end"
  file:seek "set"
  local lines, bytes = 0, 0
  while true do
    local piece, why, number = file:read(PIECE)
    if not piece then
      if why then fail(path, why, number) end -- nil alone is the end; a folder, say, can be opened but not read
      return { lines = lines, bytes = bytes }
    end
    lines = lines + select(2, piece:gsub("\n", ""))
    bytes = bytes + #piece
    if #piece == PIECE then progress { progress = total > 0 and bytes / total or nil, done = bytes, total = total } end
  end
end

local function run(payload, progress)
  local kind = type(payload) == "table" and payload.kind
  local perform = type(kind) == "string" and kinds[kind]
  expect(perform, "kind: expected words, factor or count")
  return perform(payload, progress)
end

for line in io.lines() do -- ends when stoker closes stdin: time to go
  local request = assert(json.decode(line))
  local id = request.id
  local done, result = pcall(run, request.payload, function(step)
    step.id, step.status = id, "progress"
    send(step)
  end)
  local reply = done and { status = "ok", result = result }
    or type(result) == "table" and result
    or { status = "error", message = tostring(result) }
  reply.id = id
  send(reply)
end
