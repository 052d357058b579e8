"""Half a line, then silence: its reply without the last byte. A null payload is answered whole.

Payload `gate`/`secs`: when told, the newline comes after all.
"""

from _wire import asked, hang, line, ok, requests, say, wait

for request in requests():
    if request["payload"] is None:
        ok(request)
        continue
    say(line(id=request["id"], status="ok", result="half")[:-1])
    if not asked(request):
        hang()
    wait(asked(request))
    say(b"\n")
