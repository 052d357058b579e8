"""Says on stdout that it is still there whenever nothing has come for 50 ms."""

import select

from _wire import ok, requests, say

asked = requests()
while True:
    if select.select([0], [], [], 0.05)[0]:
        request = next(asked, None)
        if request is None:
            break
        ok(request)
    else:
        say(b"still here\n")
