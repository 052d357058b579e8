"""Jobs as the text they came in: a number too long or too exact for Python passes through unchanged, both ways."""

import json
import re
from collections.abc import Iterable
from typing import Any

from protocol.client import Client
from supervisor.cli import json_text

# As the daemon writes it; what looks otherwise is decoded like all else.
_LINE = re.compile(
    r'\{"jsonrpc":"2\.0","method":"batch_line","params":\{"id":"[^"]*","file":"[a-z]*","n":([0-9]+),"record":'
)


class Record(str):
    """JSON text of a record, as it was written."""

    __slots__ = ()


class VerbatimClient(Client):
    """A client whose answers hold json_text.Numbers, and which also takes payloads that are JSON text already, on one
    line each. The records of batches are Records where they come by themselves: there are many, and nobody looks into
    them here."""

    def decode(self, text: str) -> Any:
        found = _LINE.match(text)
        if found is None or not text.endswith("}}"):
            return json_text.decode(text)
        return {"method": "batch_line", "params": {"n": int(found[1]), "record": Record(text[found.end() : -2])}}

    def submit_text(self, queue: str, payload: str, options: dict[str, Any]) -> dict[str, Any]:
        """As `submit`."""
        answer: dict[str, Any] = self.call("submit", _job(queue, payload, options), again="key" in options)
        return answer

    def submit_texts(self, queue: str, payloads: Iterable[str], options: dict[str, Any]) -> list[dict[str, Any]]:
        """As `submit_many`, with the same queue and options for each."""
        jobs = ",".join(_job(queue, payload, options) for payload in payloads)
        answers: list[dict[str, Any]] = self.call("submit_many", f'{{"jobs":[{jobs}]}}')["jobs"]
        return answers


def _job(queue: str, payload: str, options: dict[str, Any]) -> str:
    rest = json.dumps({"queue": queue, **options}, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return f'{rest[:-1]},"payload":{payload}}}'
