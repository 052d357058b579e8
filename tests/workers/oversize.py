"""A line over max_line. Payload: `bytes`, the length of a reply otherwise valid; or `endless`: no newline, ever."""

from _wire import asked, line, ok, requests, say

for request in requests():
    wanted = asked(request)
    if "bytes" in wanted:
        frame = len(line(id=request["id"], status="ok", result=""))
        say(
            line(id=request["id"], status="ok", result="x" * (wanted["bytes"] - frame + 1))
        )  # the newline is not counted
    elif "endless" in wanted:
        while True:  # a closed pipe ends it
            say(b"x" * 65536)
    else:
        ok(request)
