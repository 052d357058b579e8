#!/bin/sh
# A stoker worker in POSIX shell, without a JSON parser: one kind of job.
#
#     {"kind":"count","path":"/etc/services"}     {"lines":361,"bytes":12813}
#
# stoker promises that a request has no white space between its parts and begins with its id, so parameter expansion
# cuts out what is needed; what it cannot cut out safely is refused, never guessed.
#
# Try it by hand:  echo '{"id":"1","payload":{"kind":"count","path":"/etc/services"}}' | sh worker.sh

MAX_LOAD=${MAX_LOAD:-50} # above this load average the job is put back for half a minute

reply() { # id, the other members; printf and not echo, which would interpret a backslash
    printf '{"id":"%s",%s}\n' "$1" "$2"
}

refuse() { # id, message: the same payload fails the same way tomorrow, so no retry
    reply "$1" "\"status\":\"error\",\"message\":\"$2\",\"retry\":false"
}

busy() { # where the kernel tells
    [ -r /proc/loadavg ] && read -r load _ </proc/loadavg && [ "${load%%.*}" -ge "$MAX_LOAD" ]
}

count() { # id, path
    if busy; then
        reply "$1" '"status":"throttled","retry_after_secs":30'
    elif [ ! -e "$2" ] || [ -d "$2" ]; then
        refuse "$1" 'path: no such file'
    # One wc for both numbers. Its stdin is the file: a command that inherits ours would eat the next requests.
    elif counts=$(wc -lc <"$2"); then
        # shellcheck disable=SC2086 # to be split: that is how the two are told apart
        set -- "$1" $counts
        reply "$1" "\"status\":\"ok\",\"result\":{\"lines\":$2,\"bytes\":$3}"
    else
        reply "$1" '"status":"error","message":"the file cannot be read; the log says why"'
    fi
}

while IFS= read -r line; do # ends when stoker closes stdin: time to go
    id=${line#'{"id":"'}
    id=${id%%'"'*}
    payload=${line#*'"payload":'}
    case $payload in
    '{"kind":"count","path":"'*)
        path=${payload#'{"kind":"count","path":"'}
        path=${path%%'"'*}
        case $path in
        *\\*) refuse "$id" 'a path with a quote, a backslash or an escape is beyond this worker' ;;
        *) count "$id" "$path" ;;
        esac
        ;;
    *) refuse "$id" 'the payload must begin with {\"kind\":\"count\",\"path\":\"…\"' ;;
    esac
done
