# frozen_string_literal: true

# A stoker worker in Ruby: three kinds of jobs, and every kind of reply.
#
#     {"kind": "words", "text": "to be or not"}      {"characters": 12, "words": 4, "longest": "not"}
#     {"kind": "factor", "n": 600851475143}          {"factors": [71, 839, 1471, 6857]}
#     {"kind": "count", "path": "/etc/services"}     {"lines": 361, "bytes": 12813}
#
# Try it by hand:  echo '{"id":"1","payload":{"kind":"factor","n":360}}' | ruby worker.rb

require 'json'

PIECE = 8 * 1024 * 1024 # bytes of a file between two words about progress
MAX_SAFE = 2**53 - 1    # beyond it other languages round, those that submit jobs included
MAX_LOAD = Float(ENV.fetch('MAX_LOAD', '50')) # above it, files are left for later
LATER_SECS = 30

class Refused < StandardError; end # the payload is at fault: it will fail the same way every time
class Busy < StandardError; end    # not now, and nobody's fault

PERMANENT = [Refused, Errno::ENOENT, Errno::ENOTDIR, Errno::EISDIR].freeze

# One public method for each kind of job.
class Jobs
  KINDS = %w[words factor count].freeze

  def initialize(&progress)
    @progress = progress
  end

  def run(payload)
    kind = payload['kind'] if payload.is_a?(Hash)
    raise Refused, "kind: expected one of #{KINDS.join(', ')}" unless KINDS.include?(kind)

    public_send(kind, payload)
  end

  def words(payload)
    text = payload['text']
    raise Refused, 'text: expected a string' unless text.is_a?(String)

    found = text.split
    { characters: text.length, words: found.length, longest: found.max_by(&:length) || '' }
  end

  def factor(payload)
    n = payload['n']
    raise Refused, 'n: expected a whole number from 1 to 2^53 - 1' unless n.is_a?(Integer) && n.between?(1, MAX_SAFE)

    factors = []
    p = 2
    while p * p <= n
      while (n % p).zero?
        factors << p
        n /= p
      end
      p += p == 2 ? 1 : 2
    end
    factors << n if n > 1
    { factors: factors }
  end

  def count(payload)
    path = payload['path']
    raise Refused, 'path: expected the name of a file' unless path.is_a?(String) && !path.include?("\0")
    raise Busy if busy?

    File.open(path, 'rb') { |file| count_in(file) }
  end

  private

  def busy?
    File.read('/proc/loadavg').to_f >= MAX_LOAD
  rescue Errno::ENOENT # not on Linux
    false
  end

  def count_in(file)
    total = file.size
    lines = bytes = 0
    piece = String.new(capacity: PIECE)
    while file.read(PIECE, piece) # into the same string each time: no garbage
      lines += piece.count("\n")
      bytes += piece.bytesize
      @progress.call(progress: bytes.fdiv(total).clamp(0, 1), done: bytes, total: total) if piece.bytesize == PIECE
    end
    { lines: lines, bytes: bytes }
  end
end

def answer(payload, &progress)
  { status: 'ok', result: Jobs.new(&progress).run(payload) }
rescue Busy
  { status: 'throttled', retry_after_secs: LATER_SECS }
rescue *PERMANENT => e
  { status: 'error', message: e.message, retry: false }
rescue StandardError => e # whatever else it is may pass: the queue's backoff tries again
  { status: 'error', message: "#{e.class}: #{e.message}" }
end

# The real stdout is for replies alone. What else is printed, by a library in C or a child too, goes to the log.
replies = $stdout.dup
$stdout.reopen($stderr)
replies.sync = true # a reply that sits in a buffer was never sent
$stdin.set_encoding(Encoding::UTF_8) # whatever the locale is

send_reply = ->(id, reply) { replies.write("#{JSON.generate({ id: id, **reply })}\n") }

while (line = $stdin.gets) # ends when stoker closes stdin: time to go
  request = JSON.parse(line, max_nesting: false) # without it, 100 levels
  id = request['id']
  send_reply.call(id, answer(request['payload']) { |**step| send_reply.call(id, { status: 'progress', **step }) })
end
