"""Never sends an id, which is allowed."""

from _wire import line, requests, say

for _ in requests():
    say(line(status="ok"))
