"""Sends the id with every other reply."""

from _wire import line, ok, requests, say

for count, request in enumerate(requests()):
    if count % 2:
        say(line(status="ok"))
    else:
        ok(request)
