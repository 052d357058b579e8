"""A line that is not a reply. Payload: `line` (text), `hex` (any bytes), or `nested` (a result that many lists deep).

The proper reply follows, so that a supervisor which skips the garbage is found out.
"""

from _wire import asked, ok, requests, say

for request in requests():
    wanted = asked(request)
    if "line" in wanted:
        say(wanted["line"].encode() + b"\n")
    elif "hex" in wanted:
        say(bytes.fromhex(wanted["hex"]) + b"\n")
    elif "nested" in wanted:
        deep = b"[" * wanted["nested"] + b"]" * wanted["nested"]
        say(b'{"id":"%b","status":"ok","result":%b}\n' % (request["id"].encode(), deep))
        continue
    ok(request)
