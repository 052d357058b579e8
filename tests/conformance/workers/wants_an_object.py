"""Dies of a payload that is no object."""

from _wire import ok, requests

for request in requests():
    ok(request, request["payload"].get("name"))
