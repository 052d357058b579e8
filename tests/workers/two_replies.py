"""A second line after its reply. Payload: `second`: true in the same write; or `gate`/`secs`: after it, or when told.

The second line is a valid reply with the same id, the likeliest to be taken for the next job's.
"""

from _wire import asked, line, ok, requests, say, wait

for request in requests():
    wanted = asked(request)
    reply = line(id=request["id"], status="ok", result="first")
    second = line(id=request["id"], status="ok", result="second")
    if "second" in wanted:
        say(reply + second)
    elif wanted:
        say(reply)
        wait(wanted)
        say(second)
    else:
        ok(request)
