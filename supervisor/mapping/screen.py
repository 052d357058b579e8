"""What a person sees on stderr: lines, and below them a bar where stderr is a terminal."""

from typing import Protocol


class Screen(Protocol):
    """Nothing that is said tears a line or the bar."""

    def say(self, text: str) -> None:
        """One line, without its end. Never waits: where nobody reads stderr, what is too much is left out and
        counted. Control characters are made visible."""

    async def run(self) -> None:
        """Show what comes, until cancelled."""

    def close(self) -> None:
        """Take the bar away, with the last of what was said written."""
