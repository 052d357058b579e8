"""Error reply. Payload: any of `message`, `retry`, `details`; they are the reply's, and what is left out stays out."""

from _wire import asked, line, ok, requests, say

for request in requests():
    if wanted := asked(request):
        members = {key: wanted[key] for key in ("message", "retry", "details", "recycle") if key in wanted}
        say(line(id=request["id"], status="error", **members))
    else:
        ok(request)
