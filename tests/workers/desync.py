"""Reply with another id. Payload: `as`, the id to answer with; null: none, which is desync too after an echoed one."""

from _wire import asked, line, ok, requests, say

for request in requests():
    wanted = asked(request)
    if "as" not in wanted:
        ok(request)
    elif wanted["as"] is None:
        say(line(status="ok", result="no id"))
    else:
        say(line(id=wanted["as"], status="ok", result="of another job"))
