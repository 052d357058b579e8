"""Ready twice, the second time while it has no job: a line while idle. Payload: `mid_job`: again before its reply."""

from _wire import asked, ok, ready, requests

ready()
ready()
for request in requests():
    if asked(request).get("mid_job"):
        ready()
    ok(request)
