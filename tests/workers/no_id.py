"""No id in any reply, as a worker of three lines might do: fine, but where the pool says `require_id = true`."""

from _wire import line, requests, say

for request in requests():
    say(line(status="ok", result=request["payload"]))
