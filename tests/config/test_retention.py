"""[retention], and what a queue says otherwise."""

from collections.abc import Callable
from math import inf

from supervisor.config.model import DAY, Config, Retention

POOL = '[pools.p]\ncommand = ["sh"]\nqueues = ["q", "r"]\n'


def test_without_a_word_everything_is_kept_for_a_while(loaded: Callable[[str], Config]) -> None:
    config = loaded(POOL)
    assert {config.retention, *(queue.retention for queue in config.queues)} == {Retention()}


def test_a_queue_says_what_differs_from_what_all_queues_do(loaded: Callable[[str], Config]) -> None:
    config = loaded(
        POOL + '[retention]\ndone = "1d"\nmax_failed = 5\n[queues.q.retention]\ndone = "forever"\nmax_done = 0\n'
    )
    assert config.retention == Retention(done=DAY, max_failed=5)
    assert {queue.name: queue.retention for queue in config.queues} == {
        "q": Retention(done=inf, max_done=0, max_failed=5),
        "r": Retention(done=DAY, max_failed=5),
    }


def test_what_does_not_fit_is_told_with_its_place(problems: Callable[[str], dict[str, str]]) -> None:
    found = problems(
        POOL + '[retention]\ndone = "0s"\nfailed = "always"\nmax_expired = -1\n[queues.q.retention]\npending = "1d"\n'
    )
    assert found["retention.done"] == (
        'found "0s", expected "forever", or a duration such as "250ms", "30s" or "1h30m", from 1s to 36500d'
    )
    assert found["retention.failed"].startswith('found "always", expected "forever", or')
    assert "expected a whole number from 0" in found["retention.max_expired"]
    assert found["queues.q.retention.pending"].startswith("unknown key, expected one of done, failed, cancelled")
