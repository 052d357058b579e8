"""A submit's params, checked, become a NewJob. Messages are `parameter: what is wrong and what is allowed`."""

from typing import NoReturn

import uuid_utils

from protocol.control import SubmitParams
from protocol.times import from_rfc3339
from supervisor.config.model import QueueConfig
from supervisor.control.backoffs import own_backoff
from supervisor.control.complaints import cut, hint
from supervisor.control.durations import check_secs
from supervisor.core.job import MICROS, NewJob, OnConflict
from supervisor.core.keys import NO_KEYS, lane_of
from supervisor.errors import Invalid, TooLarge

MAX_PRIORITY = 2**31 - 1  # and the same below zero: what every store has a column for
MAX_ATTEMPTS = 2**31 - 1
MAX_WORD = 255  # characters of client, key, unique, name, rate_key and concurrency_key
MAX_TAGS = 20
MAX_TAG = 100
OF_A_BATCH = "batch:"  # what the client of its jobs begins with; their key is the line
_EXISTING = OnConflict.EXISTING


def new_job(params: SubmitParams, queue: QueueConfig, now: int) -> NewJob:
    """The job that `params`, whose payload is compact already, ask for. Raises Invalid, and TooLarge for a payload
    over the queue's limit."""
    payload = bytes(params.payload)
    if len(payload) > queue.max_payload:
        raise TooLarge(
            f"payload: {len(payload)} bytes (without white space), and queue {queue.name} takes {queue.max_payload} "
            f"(queues.{queue.name}.max_payload): send a reference to the data instead, or raise the limit",
            size=len(payload),
            limit=queue.max_payload,
        )
    _check_numbers(params)
    _check_words(params)
    return NewJob(
        # In order within this process: a later id is a greater one.
        id=str(uuid_utils.uuid7()),
        queue=params.queue,
        payload=payload,
        created_at=now,
        run_at=_run_at(params, now),
        priority=params.priority,
        timeout=params.timeout_secs,
        max_attempts=params.max_attempts,
        backoff=None if params.backoff is None else own_backoff(params.backoff),
        expires_at=None if params.expires_in_secs is None else now + round(params.expires_in_secs * MICROS),
        client=params.client,
        key=params.key,
        unique=params.unique,
        on_conflict=_EXISTING if params.on_conflict is None else _on_conflict(params.on_conflict, params.unique),
        name=params.name,
        tags=params.tags,
        lane=_lane(params, queue),
    )


def _lane(params: SubmitParams, queue: QueueConfig) -> str | None:
    """Of a job with keys in any queue: it may come to limit them."""
    if params.rate_key is None and params.concurrency_key is None:
        return NO_KEYS if queue.keyed else None
    return lane_of(params.rate_key, params.concurrency_key)


def _run_at(params: SubmitParams, now: int) -> int:
    if params.run_at is not None:
        if params.delay_secs is not None:
            raise Invalid("run_at: not together with delay_secs, which says the same from now on; give one of them")
        try:
            return from_rfc3339(params.run_at)
        except ValueError:
            _refuse_run_at(params.run_at)
    if params.delay_secs is None:
        return now
    check_secs("delay_secs", params.delay_secs, positive=False)
    return now + round(params.delay_secs * MICROS)


def _refuse_run_at(text: str) -> NoReturn:
    raise Invalid(
        f'run_at: expected RFC 3339 with an offset or Z, as in "2030-01-31T12:00:00Z", got "{cut(text)}"'
    ) from None


def _check_numbers(params: SubmitParams) -> None:
    if not -MAX_PRIORITY <= params.priority <= MAX_PRIORITY:
        raise Invalid(f"priority: must be between {-MAX_PRIORITY} and {MAX_PRIORITY}, got {cut(str(params.priority))}")
    if params.max_attempts is not None and not 1 <= params.max_attempts <= MAX_ATTEMPTS:
        raise Invalid(f"max_attempts: must be between 1 and {MAX_ATTEMPTS}, got {cut(str(params.max_attempts))}")
    if params.timeout_secs is not None:
        check_secs("timeout_secs", params.timeout_secs)
    if params.expires_in_secs is not None:
        check_secs("expires_in_secs", params.expires_in_secs)


def _check_words(params: SubmitParams) -> None:
    if params.key is not None:
        if params.client is None:
            raise Invalid("key: needs client beside it, because a key is unique for one client only")
        _check_word("key", params.key)
    if params.client is not None:
        _check_word("client", params.client)
        if params.client.startswith(OF_A_BATCH):
            raise Invalid(f'client: must not begin with "{OF_A_BATCH}", which stands for the lines of a batch')
    if params.unique is not None:
        _check_word("unique", params.unique)
    if params.name is not None:
        _check_word("name", params.name)
    if params.rate_key is not None:
        _check_word("rate_key", params.rate_key)
    if params.concurrency_key is not None:
        _check_word("concurrency_key", params.concurrency_key)
    if params.tags:
        _check_tags(params.tags)


def _on_conflict(name: str, unique: str | None) -> OnConflict:
    if unique is None:
        raise Invalid("on_conflict: needs unique beside it, the value that a job of this queue may have already")
    try:
        return OnConflict(name)
    except ValueError:
        raise Invalid(f'on_conflict: there is none called "{cut(name)}"{hint(name, OnConflict)}') from None


def _check_word(name: str, word: str) -> None:
    if not 1 <= len(word) <= MAX_WORD:
        raise Invalid(f"{name}: must have 1 to {MAX_WORD} characters, got {len(word)}")


def _check_tags(tags: tuple[str, ...]) -> None:
    if len(tags) > MAX_TAGS:
        raise Invalid(f"tags: at most {MAX_TAGS} to a job, got {len(tags)}")
    for place, tag in enumerate(tags):
        if not 1 <= len(tag) <= MAX_TAG:
            raise Invalid(f"tags[{place}]: must have 1 to {MAX_TAG} characters, got {len(tag)}")
