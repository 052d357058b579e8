"""A reload, without a daemon around it."""

import threading
from types import SimpleNamespace
from typing import Any

import trio

from supervisor.daemon.reloading import Reloading


async def test_a_file_whose_disk_does_not_answer_keeps_nobody_from_a_stop() -> None:
    begun, answers = threading.Event(), threading.Event()

    def read() -> Any:
        begun.set()
        answers.wait(20)

    service: Any = SimpleNamespace(config=SimpleNamespace(source="stoker.toml"))
    nothing: Any = None
    reloading = Reloading(nothing, nothing, nothing, service, read=read, in_force=lambda config: None)
    try:
        with trio.fail_after(10):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(reloading.run)
                reloading.ask()
                await trio.to_thread.run_sync(begun.wait)
                nursery.cancel_scope.cancel()
        assert not answers.is_set()
    finally:
        answers.set()
