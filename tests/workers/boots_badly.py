"""Dies at boot of an ImportError, like a broken deployment. Argument: a file; once it exists, boots and answers."""

import os
import sys

from _wire import ok, requests

if len(sys.argv) < 2 or not os.path.exists(sys.argv[1]):
    import nosuch  # type: ignore[import-not-found]  # noqa: F401
for request in requests():
    ok(request)
