"""The console script. It imports nothing before it stands inside the try, so that Ctrl-C is quiet from the start."""

import sys

INTERRUPTED = 130  # 128 + SIGINT, as shells count
CLOSED_PIPE = 141  # 128 + SIGPIPE


def main() -> None:
    """Run the command in sys.argv and exit by it."""
    try:
        from supervisor.cli.app import cli

        cli.main(prog_name="stoker")
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    except BrokenPipeError:
        _let_go_of_stdout()
        sys.exit(CLOSED_PIPE)


def _let_go_of_stdout() -> None:
    """Whoever read our output has left (`| head`): let the interpreter's last flush go nowhere, not fail."""
    import os

    for descriptor in (1, 2):
        try:
            os.dup2(os.open(os.devnull, os.O_WRONLY), descriptor)
        except OSError:
            return
