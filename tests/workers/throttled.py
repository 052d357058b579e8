"""Throttled reply. Payload: `retry_after_secs` (null: the reply leaves it out); from attempt `until` on, answers ok."""

from _wire import asked, line, ok, requests, say

for request in requests():
    wanted = asked(request)
    if "retry_after_secs" not in wanted or request["attempt"] >= wanted.get("until", float("inf")):
        ok(request)
    elif wanted["retry_after_secs"] is None:
        say(line(id=request["id"], status="throttled"))
    else:
        say(line(id=request["id"], status="throttled", retry_after_secs=wanted["retry_after_secs"]))
