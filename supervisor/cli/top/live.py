"""The live view: whatever is heard of the daemon or from the terminal changes the scene, and the screen follows it."""

import os
import signal
import sys

from supervisor.cli.top.frame import Frame, Scene, frame
from supervisor.cli.top.painting import Painter
from supervisor.cli.top.terminal import ENDING, Terminal
from supervisor.cli.top.watching import Watch

WITHOUT_KEYS = "Ctrl-C ends it"
_FOR_EVER = 10**9


class Live:
    """`run` returns the exit code: 0 for q, 128 and the number for a signal."""

    def __init__(self, watch: Watch, terminal: Terminal, *, colours: bool) -> None:
        self._watch = watch
        self._terminal = terminal
        self._painter = Painter(colours=colours, encoding=sys.stdout.encoding or "utf-8")
        self._scene = Scene(watch.news)
        if not terminal.keyboard:
            self._scene = self._scene._replace(keys=WITHOUT_KEYS)
        self._frame = Frame([], 0, 0)

    def run(self) -> int:
        self._watch.start()
        while True:
            self._show()
            heard = self._terminal.wait()
            self._watch.check()
            if heard.gone:
                return 128 + signal.SIGHUP
            for number in heard.signals:
                if number in ENDING:
                    return 128 + number
                self._on_signal(number)
            for key in heard.keys:
                if key in ("q", "Q"):
                    return 0
                self._on_key(key)

    def _show(self) -> None:
        """A terminal that has not taken the last frame yet gets the one after: what is shown is never old."""
        if not self._terminal.ready:
            self._terminal.write(b"")
            if not self._terminal.ready:
                return
        if not self._scene.frozen:
            self._scene = self._scene._replace(news=self._watch.news)
        width, height = self._terminal.size
        self._frame = frame(self._scene, width, height)
        self._scene = self._scene._replace(offset=self._frame.offset)
        self._terminal.write(self._painter.paint(self._frame.lines, width, height))

    def _on_signal(self, number: int) -> None:
        if number == signal.SIGTSTP:
            self._terminal.stop()
        if number in (signal.SIGTSTP, signal.SIGCONT, signal.SIGWINCH):
            self._painter.forget()  # after a change of size a terminal has moved what it showed

    def _on_key(self, key: str) -> None:
        scene = self._scene
        page = max(1, self._frame.page - 1)
        steps = {"j": 1, "down": 1, "k": -1, "up": -1, "page down": page, "page up": -page}
        steps |= {"g": -_FOR_EVER, "home": -_FOR_EVER, "G": _FOR_EVER, "end": _FOR_EVER}
        if key in steps:
            self._scene = scene._replace(offset=max(0, scene.offset + steps[key]))
        elif key in ("p", " "):
            self._scene = scene._replace(frozen=not scene.frozen)
            (self._watch.go_on if scene.frozen else self._watch.hold)()
        elif key == "\x0c":  # Ctrl-L: something else has written here
            self._painter.forget()


def colours_wanted() -> bool:
    return not os.environ.get("NO_COLOR")
