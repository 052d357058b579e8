"""No reply by the timeout (and the one to cancel): reads its request, then nothing. A null payload is answered."""

from _wire import hang, ok, requests

for request in requests():
    if request["payload"] is not None:
        hang()
    ok(request)
