"""Where lines come from."""

from collections.abc import Callable
from typing import Protocol

from supervisor.errors import StokerError
from supervisor.lines.line import Line


class InputFailed(StokerError):
    """The input cannot be read, or not any more."""

    code = "input_failed"


class Feed(Protocol):
    """Lines in the order of the input. It reads ahead, a bounded number of lines and bytes, and no further until some
    of them are taken; blank lines, and what an earlier run has answered, it passes over.

    `on_line` is called, in trio's thread, when there may be a line again after `take` had none, and when the end is
    reached."""

    on_line: Callable[[], None]

    @property
    def ended(self) -> bool:
        """No line will come any more: the input's end was reached, and all that was read is taken."""

    def take(self) -> Line | None:
        """The next line, if one is there now. One without a payload is a line too: `Answers.refused` is its answer."""

    async def run(self) -> None:
        """Read until the end of the input, then return. Cancelled, it leaves whatever blocks to its thread. Raises
        InputFailed."""
