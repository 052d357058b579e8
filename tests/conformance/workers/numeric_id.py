"""Takes an id for a number where it looks like one, as a language that guesses types does."""

from _wire import line, requests, say

for request in requests():
    name = request["id"]
    say(line(id=str(int(name)) if name.isdigit() else name, status="ok"))
