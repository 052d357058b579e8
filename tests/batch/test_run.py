"""From lines to records: what becomes of a batch when nothing goes wrong, and of lines that are wrong by themselves."""

from pathlib import Path

from supervisor.batch.words import BatchState
from tests.batch.household import household, numbered


async def test_each_line_has_its_result(tmp_path: Path) -> None:
    async with household(tmp_path, size=2) as house:
        batch = await house.submit(*numbered(300))
        status = await house.end(batch)
        output, errors = house.records(batch)
        assert [(one["line"], one["result"]) for one in output] == [(n, {"n": n}) for n in range(1, 301)]
        assert errors == []
        assert status.state is BatchState.COMPLETED
        assert (status.counts.total, status.counts.completed) == (300, 300)
        assert await house.jobs() == 0


async def test_a_bad_line_is_an_error_and_the_rest_goes_on(tmp_path: Path) -> None:
    async with household(tmp_path) as house:
        batch = await house.submit('{"custom_id": "a", "n": 1}', "", "{oops", '{"do": "fail", "custom_id": 7}', "2")
        status = await house.end(batch)
        output, errors = house.records(batch)
        assert output == [
            {"line": 1, "custom_id": "a", "result": {"custom_id": "a", "n": 1}},
            {"line": 5, "result": 2},
        ]
        assert [(one["line"], one.get("custom_id"), one["error"]["cause"]) for one in errors] == [
            (3, None, "not_json"),
            (4, 7, "error"),
        ]
        assert status.state is BatchState.FAILED
        assert (status.counts.total, status.counts.completed, status.counts.failed) == (4, 2, 2)
