import threading
import time

from supervisor.daemon.notify import Notifier
from supervisor.daemon.starting import Starting


class Heard(Notifier):
    """Keeps what systemd would be told; `enough` is set at the message of that number."""

    def __init__(self, enough: int = 1) -> None:
        super().__init__("/nowhere")
        self.messages: list[str] = []
        self.enough = threading.Event()
        self._enough = enough

    def _send(self, message: str) -> bool:
        self.messages.append(message)
        if len(self.messages) >= self._enough:
            self.enough.set()
        return True


def test_a_long_start_says_what_it_does_and_asks_for_time_again_and_again() -> None:
    heard = Heard(enough=8)
    with Starting(heard, every=0.001) as starting:
        starting.now("recovering the store")
        deadline = time.monotonic() + 20  # it may have said much before that
        while "STATUS=starting: recovering the store, for 0 s now" not in heard.messages or not heard.enough.is_set():
            assert time.monotonic() < deadline
            time.sleep(0.001)
    assert "STATUS=starting: recovering the store" in heard.messages
    assert "STATUS=starting: recovering the store, for 0 s now" in heard.messages
    assert heard.messages.count("EXTEND_TIMEOUT_USEC=3000") >= 2


def test_nothing_is_said_once_it_is_over() -> None:
    heard = Heard()
    with Starting(heard, every=0.001) as starting:
        assert heard.enough.wait(20)
        starting.over()
        said = len(heard.messages)
        starting.over()
    assert len(heard.messages) == said
    assert threading.active_count() == 1 or not any(one.name == "stoker-starting" for one in threading.enumerate())


def test_a_start_that_has_not_come_further_for_too_long_is_left_to_systemd() -> None:
    heard = Heard()
    starting = Starting(heard, every=0.001, longest=0.0)
    with starting:
        starting._thread.join(20)
        assert not starting._thread.is_alive()
    assert heard.messages == ["EXTEND_TIMEOUT_USEC=3000"]


def test_where_nobody_listens_no_thread_is_started() -> None:
    with Starting(Notifier()) as starting:
        starting.now("opening the store")
        assert not starting._thread.is_alive()
