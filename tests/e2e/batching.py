"""Batches of a real daemon, asked for over its socket and looked at in their folders."""

import base64
import json
from pathlib import Path
from typing import Any

from protocol.client import Client
from tests.batches import FINAL, Folder, check_final, read_folder
from tests.e2e.daemon import Daemon, until

Batch = dict[str, Any]
PART = 1024 * 1024  # bytes of an input that go at once


def send(client: Client, text: bytes, queue: str = "q", **options: Any) -> str:
    """Its id, once it is on disk."""
    parts = [text[at : at + PART] for at in range(0, len(text), PART)]
    where: dict[str, Any] = {"queue": queue, **options}
    for number, part in enumerate(parts, 1):
        sent = {"base64": base64.b64encode(part).decode(), "more": number < len(parts)}
        answer = client.call("batch_submit", {**where, **sent})
        where = {"batch": answer["id"]}
    return str(answer["id"])


def look(client: Client, batch_id: str) -> Batch:
    found: Batch = client.call("batch_get", {"id": batch_id})
    return found


def final(client: Client, batch_id: str) -> Batch:
    """The batch, once it is."""

    def ended() -> Batch | None:
        return batch if (batch := look(client, batch_id))["state"] in FINAL else None

    return until(ended, "the end of the batch")


def completed(client: Client, batch_id: str, lines: int) -> Batch:
    """The batch, once so many lines of it are done."""

    def far_enough() -> Batch | None:
        return batch if (batch := look(client, batch_id))["counts"]["completed"] >= lines else None

    return until(far_enough, f"{lines} completed lines")


def waits(client: Client, batch_id: str, *words: str) -> Batch:
    """The batch, once it says that it waits, with these words."""

    def waiting() -> Batch | None:
        batch = look(client, batch_id)
        return batch if batch["waiting"] and all(word in batch["waiting"] for word in words) else None

    return until(waiting, f"a batch that waits: {' '.join(words)}")


def folder(daemon: Daemon, batch_id: str) -> Path:
    return daemon.state / "batches" / batch_id


def contents(daemon: Daemon, batch_id: str) -> Folder:
    return read_folder(folder(daemon, batch_id))


def check_whole(client: Client, daemon: Daemon, batch_id: str, text: bytes, **may_be: bool) -> Batch:
    """It ends, and then each of its lines has exactly one record, and the queue nothing of it. The batch."""
    batch = final(client, batch_id)
    check_final(contents(daemon, batch_id), text, **may_be)
    until(lambda: jobs_of(client, batch_id) == 0, "its jobs to be deleted")
    return batch


def jobs_of(client: Client, batch_id: str) -> int:
    """How many of them there are."""
    return int(client.list(client=f"batch:{batch_id}", limit=1)["total"])


def rows(count: int, **members: Any) -> bytes:
    """So many lines, each with its number and the members."""
    return b"".join(json.dumps({"n": number, **members}).encode() + b"\n" for number in range(count))
