#!/usr/bin/env bash
# A stoker worker in Bash, with jq: three kinds of jobs, and every kind of reply.
#
#     {"kind": "words", "text": "to be or not"}      {"characters": 12, "words": 4, "longest": "not"}
#     {"kind": "factor", "n": 600851475143}          {"factors": [71, 839, 1471, 6857]}
#     {"kind": "count", "path": "/etc/services"}     {"lines": 361, "bytes": 12813}
#
# Try it by hand:  echo '{"id":"1","payload":{"kind":"factor","n":360}}' | bash worker.bash
set -uo pipefail # no -e: a job that fails must not end the worker

PIECE=$((8 * 1024 * 1024)) # bytes of a file between two words about progress
MAX_LOAD=${MAX_LOAD:-50}   # above it, files are left for later
LATER_SECS=30

# Replies have a descriptor of their own; whatever else is printed, by us or a command, goes to the log.
exec 3>&1 1>&2

# What jq can answer it answers; the rest it checks and hands over. Two strings, each ended by a zero byte: what is to
# be done, and with what. ($(…) would take newlines off the end of a path.)
read -r -d '' CHECK <<'JQ'
def refuse($message): "say", ({id, status: "error", message: $message, retry: false} | tojson);

def words:
  [split(" ")[] | split("\n")[] | split("\t")[] | split("\r")[] | select(. != "")] as $words # jq 1.6 is slow at regexes
  | {characters: length, words: ($words | length),
     longest: (reduce $words[] as $word (""; if ($word | length) > length then $word else . end))};

.payload as $job
| if ($job | type) != "object" or (["words", "factor", "count"] | index([$job.kind]) | not) then
    refuse("kind: expected words, factor or count")
  elif $job.kind == "words" then
    if ($job.text | type) != "string" then refuse("text: expected a string")
    else "say", ({id, status: "ok", result: ($job.text | words)} | tojson) end
  elif $job.kind == "factor" then
    if ($job.n | type) != "number" or $job.n < 1 or $job.n > 9007199254740991 or ($job.n | floor) != $job.n then
      refuse("n: expected a whole number from 1 to 2^53 - 1")
    else "factor", ($job.n | tojson) end
  elif ($job.path | type) != "string" or ($job.path | explode | index(0)) then
    refuse("path: expected the name of a file")
  else "count", $job.path end
| ., "\u0000"
JQ

# One jq for all jobs: it needs longer to start than for a job. It ends at a request that it cannot read. (Its
# descriptors are copied, and its number kept, because Bash forgets both the moment it ends.)
start_jq() {
    coproc JQ { exec jq --unbuffered -j "$CHECK" 3>&-; }
    checker=$JQ_PID
    exec {ask}>&"${JQ[1]}" {told}<&"${JQ[0]}"
}

check() { # request; sets what and with
    printf '%s\n' "$1" >&"$ask"
    { IFS= read -r -d '' what && IFS= read -r -d '' with; } <&"$told" && return
    what=unreadable
    exec {ask}>&- {told}<&-
    wait "$checker"
    start_jq
}

reply() { # members; $id is the request's, still as JSON has it
    printf '{"id":"%s",%s}\n' "$id" "$1" >&3
}

failed() { # message: may pass, so the queue's backoff tries again
    reply "\"status\":\"error\",\"message\":\"$1\""
}

refuse() { # message: the payload is at fault, it will fail the same way every time
    reply "\"status\":\"error\",\"message\":\"$1\",\"retry\":false"
}

prime_factors() { # n
    local primes
    if primes=$(factor "$1"); then # 360: 2 2 2 3 3 5
        primes=${primes#*:}
        primes=${primes# }
        reply "\"status\":\"ok\",\"result\":{\"factors\":[${primes// /,}]}"
    else
        failed 'the command factor failed; the log says why'
    fi
}

busy() { # where the kernel tells
    local load _
    [[ -r /proc/loadavg ]] && read -r load _ </proc/loadavg && ((${load%.*} >= MAX_LOAD))
}

count() { # path
    local file total counts lines=0 bytes=0
    if busy; then
        reply "\"status\":\"throttled\",\"retry_after_secs\":$LATER_SECS"
    elif [[ ! -e $1 || -d $1 ]]; then
        refuse 'path: no such file'
    elif ! { exec {file}<"$1"; }; then
        failed 'the file cannot be opened; the log says why'
    else
        total=$(stat -Lc %s "/dev/fd/$file")
        while counts=$(head -c "$PIECE" <&"$file" | wc -lc); do
            read -r -a counts <<<"$counts"
            ((lines += counts[0], bytes += counts[1]))
            if ((counts[1] < PIECE)); then
                reply "\"status\":\"ok\",\"result\":{\"lines\":$lines,\"bytes\":$bytes}"
                exec {file}<&-
                return
            fi
            progress "$bytes" "$total"
        done
        failed 'the file cannot be read; the log says why'
        exec {file}<&-
    fi
}

progress() { # done, total
    local share=null
    (($2 > 0)) && printf -v share '%d.%03d' $(($1 / $2)) $(($1 * 1000 / $2 % 1000))
    reply "\"status\":\"progress\",\"progress\":$share,\"done\":$1,\"total\":$2"
}

start_jq
while IFS= read -r request; do # ends when stoker closes stdin: time to go
    id=${request#'{"id":"'}    # it comes first, and nothing in it is escaped
    id=${id%%'"'*}
    check "$request"
    case $what in
    say) printf '%s\n' "$with" >&3 ;;
    factor) prime_factors "$with" ;;
    count) count "$with" ;;
    unreadable) refuse 'jq cannot read the request; the log says why' ;;
    esac
done
