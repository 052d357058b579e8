"""Refuses whatever it is given."""

from _wire import line, requests, say

for request in requests():
    say(line(id=request["id"], status="error", message="not for me", retry=False))
