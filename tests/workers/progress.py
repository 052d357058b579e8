"""No row at all: progress lines, any number, then the reply.

Payload: `steps`; `gate`/`secs`: after each step, when told.
"""

from _wire import asked, line, ok, requests, say, wait

for request in requests():
    wanted = asked(request)
    steps = wanted.get("steps", 0)
    for done in range(1, steps + 1):
        note = {"message": f"step {done} of {steps}", "data": {"step": done}, "done": done, "total": steps}
        say(line(id=request["id"], status="progress", progress=done / steps, **note))
        wait(wanted)
    ok(request, steps)
