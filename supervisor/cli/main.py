"""The console script. Nothing heavy is imported outside the try, so that Ctrl-C is quiet from the start."""

import os
import sys

INTERRUPTED = 130  # 128 + SIGINT, as shells count
CLOSED_PIPE = 141  # 128 + SIGPIPE


def main() -> None:
    """Run the command in sys.argv and exit by it."""
    try:
        _open_missing()
        from supervisor.cli.app import cli

        cli.main(prog_name="stoker")
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)


def _open_missing() -> None:
    """A stream that the shell closed (`>&-`) is None to Python, and its number free for a socket: neither is wanted."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115
