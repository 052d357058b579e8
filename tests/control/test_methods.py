"""Every method over the socket: what it takes, what it answers, how it refuses."""

import pytest
import trio.testing

from supervisor.core.job import State
from supervisor.errors import (
    Conflict,
    Forbidden,
    Gone,
    NotFound,
    Refused,
    RestartFailed,
    StoreUnavailable,
    TooLarge,
)
from supervisor.store.port import Filter
from tests.control.conftest import House
from tests.control.fake_service import FakeService
from tests.control.talk import Talk

KNOWN = (
    "backup, batch_cancel, batch_delete, batch_gc, batch_get, batch_list, batch_output, batch_submit, "
    "cancel, cancel_many, delete, delete_many, drain, events, get, list, pause, ping, pools, position, purge, "
)


async def test_ping_says_which_versions_answer(talk: Talk) -> None:
    assert await talk.ask("ping") == {"version": "1.2.3", "protocol": 1, "role": "admin", "queues": {}}


async def test_params_may_be_left_out_or_null(talk: Talk) -> None:
    await talk.say(
        b'{"jsonrpc":"2.0","id":1,"method":"ping"}\n{"jsonrpc":"2.0","id":2,"method":"ping","params":null}\n'
    )
    assert await talk.result(1) == await talk.result(2)


# -- submit ------------------------------------------------------------------------------------------------------------


async def test_submit_answers_with_the_new_job(talk: Talk, service: FakeService) -> None:
    answer = await talk.ask("submit", queue="thumbs", payload={"path": "a.png"})
    assert answer == {"id": service.handed[0].id, "created": True, "state": "pending"}


async def test_payloads_are_kept_without_white_space_and_otherwise_as_written(talk: Talk, service: FakeService) -> None:
    await talk.say(
        b'{"jsonrpc":"2.0","id":1,"method":"submit","params":'
        b'{"queue":"thumbs","payload": {"a b" : [1.50,  1e3, "\\u00e9 \\/"],\t"z":12345678901234567890123} }}\n'
    )
    await talk.result(1)
    assert service.handed[0].payload == b'{"a b":[1.50,1e3,"\\u00e9 \\/"],"z":12345678901234567890123}'


async def test_an_earlier_job_of_the_same_client_and_key_answers(talk: Talk, service: FakeService) -> None:
    first = await talk.ask("submit", queue="thumbs", payload=1, client="shop", key="7")
    service.end(first["id"])
    again = await talk.ask("submit", queue="thumbs", payload=1, client="shop", key="7")
    assert again == {"id": first["id"], "created": False, "state": "done", "same": True}
    other = await talk.ask("submit", queue="thumbs", payload=2, client="shop", key="7")
    assert other["same"] is False


@pytest.mark.parametrize("refused", [{"queue": "nowhere"}, {"queue": "small"}, {"timeout_secs": -1}])
async def test_an_earlier_job_answers_also_where_the_submit_would_be_refused_now(
    talk: Talk, service: FakeService, refused: dict[str, object]
) -> None:
    service.add(id="old", client="shop", key="7", payload=b'"a long payload"', queue="thumbs")
    params = {"queue": "thumbs", "payload": "a long payload", "client": "shop", "key": "7", **refused}
    answer = await talk.ask("submit", **params)
    assert answer == {"id": "old", "created": False, "state": "pending", "same": "queue" not in refused}
    assert not service.handed
    assert (await talk.refusal("submit", **{**params, "key": "8"})).word in ("unknown_queue", "too_large", "invalid")


async def test_a_submit_that_meets_another_job_says_what_became_of_the_two(talk: Talk, service: FakeService) -> None:
    service.answers = [{"replaced": "old"}]
    answer = await talk.ask("submit", queue="thumbs", payload=1, unique="u", on_conflict="replace")
    assert answer == {"id": service.handed[0].id, "created": True, "state": "pending", "replaced": "old"}
    service.breakage_of_submit = Conflict("unique: taken", index=0, holder="old", state="running")
    refusal = await talk.refusal("submit", queue="thumbs", payload=1, unique="u", on_conflict="replace")
    assert (refusal.word, refusal.message) == ("conflict", "unique: taken")
    assert refusal.data == {"code": "conflict", "holder": "old", "state": "running"}


async def test_in_submit_many_a_conflict_says_which_job_it_is_about(talk: Talk, service: FakeService) -> None:
    """Those that a key answers although they would be refused are not among the jobs that the store saw."""
    service.add(id="old", client="shop", key="7", payload=b"1", queue="thumbs")
    keyed = {"queue": "nowhere", "payload": 1, "client": "shop", "key": "7"}
    good = {"queue": "thumbs", "payload": 1, "unique": "u"}
    service.breakage_of_submit = Conflict("unique: taken", index=1, holder="held", state="pending")
    refusal = await talk.refusal("submit_many", jobs=[keyed, good, keyed, {**good, "on_conflict": "reject"}])
    assert refusal.message == "jobs[3].unique: taken"
    assert refusal.data == {"code": "conflict", "holder": "held", "state": "pending", "index": 3}


async def test_an_unknown_queue_is_refused(talk: Talk) -> None:
    refusal = await talk.refusal("submit", queue="nowhere", payload=1)
    assert (refusal.code, refusal.word) == (-32000, "unknown_queue")
    assert refusal.data["known"] == ["thumbs", "small"]


async def test_a_payload_over_the_queues_limit_is_refused_before_it_is_handed_over(
    talk: Talk, service: FakeService
) -> None:
    refusal = await talk.refusal("submit", queue="small", payload="123456789")
    assert (refusal.word, refusal.data["size"], refusal.data["limit"]) == ("too_large", 11, 10)
    assert not service.handed


@pytest.mark.parametrize("number", ["1" * 5000, "-" + "1" * 5000, "1e400"])
async def test_a_number_beyond_all_measure_is_refused(talk: Talk, number: str) -> None:
    await talk.say(
        b'{"jsonrpc":"2.0","id":1,"method":"submit","params":{"queue":"thumbs","payload":1,"priority":%b}}\n'
        % number.encode()
    )
    answer = await talk.receive()
    assert answer["error"]["data"]["code"] == "invalid"
    assert answer["error"]["message"].startswith("priority: ")


async def test_submit_many_answers_in_the_order_of_its_jobs(talk: Talk, service: FakeService) -> None:
    jobs = [{"queue": "thumbs", "payload": n} for n in range(5)]
    answer = await talk.ask("submit_many", jobs=jobs)
    assert [job.payload for job in service.handed] == [b"0", b"1", b"2", b"3", b"4"]
    assert answer == {"jobs": [{"id": job.id, "created": True, "state": "pending"} for job in service.handed]}


@pytest.mark.parametrize(
    ("bad", "word", "message"),
    [
        ({"queue": "nowhere"}, "unknown_queue", "jobs[2].queue: there is no queue 'nowhere'"),
        ({"queue": "small", "payload": "x" * 10}, "too_large", "jobs[2].payload: 12 bytes"),
        ({"delay_secs": -1}, "invalid", "jobs[2].delay_secs: must be at least 0"),
    ],
)
async def test_submit_many_takes_all_or_none_and_says_which_job_is_wrong(
    talk: Talk, service: FakeService, bad: dict[str, object], word: str, message: str
) -> None:
    good = {"queue": "thumbs", "payload": 1}
    refusal = await talk.refusal("submit_many", jobs=[good, good, {**good, **bad}, good])
    assert (refusal.word, refusal.data["index"]) == (word, 2)
    assert refusal.message.startswith(message)
    assert not service.handed


async def test_in_submit_many_too_an_earlier_job_answers_before_any_refusal(talk: Talk, service: FakeService) -> None:
    service.add(id="old", client="shop", key="7", state=State.FAILED)
    keyed = {"queue": "nowhere", "payload": 1, "client": "shop", "key": "7"}
    answer = await talk.ask(
        "submit_many", jobs=[{"queue": "thumbs", "payload": 1}, keyed, {"queue": "thumbs", "payload": 2}]
    )
    first, second = service.handed
    assert [job["id"] for job in answer["jobs"]] == [first.id, "old", second.id]
    assert answer["jobs"][1] == {"id": "old", "created": False, "state": "failed", "same": False}
    assert (await talk.ask("submit_many", jobs=[keyed]))["jobs"][0]["id"] == "old"


async def test_submit_many_takes_one_job_or_up_to_the_limit(talk: Talk, service: FakeService) -> None:
    job = {"queue": "thumbs", "payload": 1}
    assert (await talk.refusal("submit_many", jobs=[])).message == "jobs: at least one is needed"
    assert len((await talk.ask("submit_many", jobs=[job] * 10_000))["jobs"]) == 10_000
    refusal = await talk.refusal("submit_many", jobs=[job] * 10_001)
    assert (refusal.word, refusal.data["limit"]) == ("too_large", 10_000)


# -- get, wait, list ---------------------------------------------------------------------------------------------------


async def test_get_finds_a_job_by_id_or_by_client_and_key(talk: Talk, service: FakeService) -> None:
    service.add(id="a", client="shop", key="7")
    by_id = await talk.ask("get", id="a")
    assert by_id == await talk.ask("get", client="shop", key="7")
    assert (by_id["id"], by_id["payload"], by_id["attempts"]) == ("a", {"path": "a.png"}, [])


@pytest.mark.parametrize("params", [{}, {"client": "a"}, {"key": "a"}, {"id": "a", "client": "b", "key": "c"}])
async def test_get_needs_one_way_to_find_the_job(talk: Talk, params: dict[str, str]) -> None:
    refusal = await talk.refusal("get", **params)
    assert (refusal.word, refusal.message) == ("invalid", "id: give either id, or client and key together")


async def test_wait_answers_once_the_job_is_final(talk: Talk, service: FakeService) -> None:
    service.add(id="a")
    asked = await talk.send("wait", id="a")
    await trio.testing.wait_all_tasks_blocked()
    service.end("a", result=b'{"ok":1}')
    view = await talk.result(asked)
    assert (view["state"], view["result"]) == ("done", {"ok": 1})


async def test_wait_for_many_answers_in_their_order(talk: Talk, service: FakeService) -> None:
    for id in "abc":
        service.add(id=id)
    asked = await talk.send("wait", ids=["c", "a"])
    await trio.testing.wait_all_tasks_blocked()
    service.end("a")
    service.end("c")
    assert [job["id"] for job in (await talk.result(asked))["jobs"]] == ["c", "a"]
    assert await talk.ask("wait", ids=[]) == {"jobs": []}


async def test_a_wait_that_times_out_has_the_jobs_that_are_final(talk: Talk, service: FakeService) -> None:
    service.add(id="a", state=State.DONE, result=b"7")
    service.add(id="b")
    refusal = await talk.refusal("wait", ids=["a", "b"], timeout_secs=0)
    assert (refusal.code, refusal.word) == (-32000, "timeout")
    assert [(job["id"], job["result"]) for job in refusal.data["jobs"]] == [("a", 7)]


@pytest.mark.parametrize(
    ("params", "word"),
    [
        ({}, "invalid"),
        ({"id": "a", "ids": ["a"]}, "invalid"),
        ({"id": "a", "timeout_secs": -1}, "invalid"),
        ({"ids": ["a"] * 10_001}, "too_large"),
        ({"id": "nobody"}, "not_found"),
    ],
)
async def test_wait_refuses(talk: Talk, params: dict[str, object], word: str) -> None:
    assert (await talk.refusal("wait", **params)).word == word


async def test_list_shows_the_newest_first_and_goes_on_from_its_cursor(talk: Talk, service: FakeService) -> None:
    for id in "abcde":
        service.add(id=id)
    first = await talk.ask("list", limit=2)
    second = await talk.ask("list", limit=2, cursor=first["next"])
    third = await talk.ask("list", limit=2, cursor=second["next"])
    assert [[job["id"] for job in page["jobs"]] for page in (first, second, third)] == [["e", "d"], ["c", "b"], ["a"]]
    assert (first["total"], third["next"]) == (5, None)


async def test_list_leaves_the_big_members_out_unless_asked(talk: Talk, service: FakeService) -> None:
    service.add(id="a", state=State.DONE, result=b"1")
    [short] = (await talk.ask("list"))["jobs"]
    [full] = (await talk.ask("list", full=True))["jobs"]
    assert set(full) - set(short) == {"payload", "result", "attempts"}
    assert [(limit, full) for _, limit, _, full in service.asked] == [(50, False), (50, True)]


async def test_list_passes_on_what_to_look_for(talk: Talk, service: FakeService) -> None:
    await talk.ask("list", queue="gone since", state=["done", "failed", "done"], tag="x", client="shop")
    await talk.ask("list", state="pending")
    await talk.ask("list", state=[])
    assert [asked[0] for asked in service.asked] == [
        Filter(queue="gone since", states=(State.DONE, State.FAILED), tag="x", client="shop"),
        Filter(states=(State.PENDING,)),
        Filter(),
    ]


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"limit": 0}, "limit: must be between 1 and 200"),
        ({"limit": 201}, "limit: must be between 1 and 200"),
        ({"state": "finished"}, 'state: there is none called "finished"'),
        (
            {"state": ["done", "doen"]},
            'state: there is none called "doen"; did you mean "done"? known: cancelled, done, ',
        ),
        ({"cursor": ""}, "cursor: not one of this daemon's"),
        ({"cursor": "abc"}, "cursor: not one of this daemon's"),
        ({"cursor": "é"}, "cursor: not one of this daemon's"),
        ({"cursor": "AgAAAAAAAAAB"}, "cursor: not one of this daemon's"),
        ({"cursor": "AQAAAAAAAAAA"}, "cursor: not one of this daemon's"),
    ],
)
async def test_list_refuses(talk: Talk, params: dict[str, object], message: str) -> None:
    refusal = await talk.refusal("list", **params)
    assert refusal.word == "invalid"
    assert refusal.message.startswith(message)


# -- the others --------------------------------------------------------------------------------------------------------


async def test_running_shows_jobs_without_their_big_members_and_counts_all(talk: Talk, service: FakeService) -> None:
    for id in "abc":
        service.add(id=id, state=State.RUNNING, progress=b'{"progress":0.5}')
    answer = await talk.ask("running", queue="thumbs", limit=2)
    assert [(job["id"], job["progress"]["progress"]) for job in answer["jobs"]] == [("a", 0.5), ("b", 0.5)]
    assert answer["total"] == 3
    assert not {"payload", "result", "attempts"} & set(answer["jobs"][0])
    assert service.asked == [("thumbs", 2)]
    for limit in (0, 201):
        assert (await talk.refusal("running", limit=limit)).message == "limit: must be between 1 and 200"


async def test_position(talk: Talk, service: FakeService) -> None:
    service.add(id="a")
    assert await talk.ask("position", id="a") == {"ahead": 2, "active": 5}
    assert (await talk.refusal("position", id="b")).word == "not_found"


async def test_cancel_retry_and_delete(talk: Talk, service: FakeService) -> None:
    service.add(id="a")
    assert (await talk.refusal("retry", id="a")).word == "conflict"
    assert (await talk.ask("cancel", id="a"))["state"] == "cancelled"
    assert (await talk.ask("retry", id="a"))["state"] == "pending"
    assert await talk.ask("delete", id="a") == {"deleted": True}
    assert (await talk.refusal("delete", id="a")).word == "not_found"


async def test_queues_pause_and_resume(talk: Talk) -> None:
    assert [queue["queue"] for queue in (await talk.ask("queues"))["queues"]] == ["thumbs", "small"]
    [queue] = (await talk.ask("queues", queue="small"))["queues"]
    assert set(queue) == {
        *("queue", "paused", "throttled_until", "limited_by", "pending", "due"),
        *("running", "done", "failed", "cancelled", "expired"),
        *("oldest_pending_secs", "submit_rate", "finish_rate", "ends_1m", "ends_5m", "wait_secs", "run_secs", "pools"),
    }
    assert (await talk.ask("pause", queue="small"))["paused"] is True
    assert (await talk.ask("resume", queue="small"))["paused"] is False
    for method in ("queues", "pause", "resume"):
        assert (await talk.refusal(method, queue="nowhere")).word == "unknown_queue"


async def test_pools_and_workers(talk: Talk) -> None:
    [pool] = (await talk.ask("pools"))["pools"]
    assert (pool["pool"], pool["state"], pool["size"]) == ("thumbs", "ready", 1)
    [worker] = (await talk.ask("workers", pool="thumbs"))["workers"]
    assert (worker["slot"], worker["pid"], worker["state"]) == (0, 77, "idle")
    assert (await talk.refusal("pools", pool="nowhere")).word == "not_found"


async def test_restart_answers_with_what_was_replaced(talk: Talk) -> None:
    assert await talk.ask("restart", pool="thumbs") == {"pool": "thumbs", "generation": 2, "replaced": 1}
    assert (await talk.refusal("restart", pool="nowhere")).word == "not_found"
    assert (await talk.refusal("restart")).message == "pool: required, but missing"


@pytest.mark.parametrize(
    ("asked", "caps"),
    [
        ({"size": 4}, (4, 4)),
        ({"size": 0}, (0, 0)),
        ({"min": 0, "max": 1000}, (0, 1000)),
        ({"size": None, "min": 2, "max": 2}, (2, 2)),
    ],
)
async def test_resize_takes_a_size_or_both_bounds_and_answers_with_the_pool(
    talk: Talk, asked: dict[str, object], caps: tuple[int, int]
) -> None:
    pool = await talk.ask("resize", pool="thumbs", **asked)
    assert (pool["pool"], pool["min"], pool["max"]) == ("thumbs", *caps)


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({}, "size: give either size, or min and max together"),
        ({"min": 1}, "size: give either size, or min and max together"),
        ({"max": 1}, "size: give either size, or min and max together"),
        ({"size": 2, "max": 3}, "size: give either size, or min and max together"),
        ({"size": 2, "min": 1, "max": 3}, "size: give either size, or min and max together"),
        ({"size": -1}, "size: must be between 0 and 1000, got -1"),
        ({"size": 1001}, "size: must be between 0 and 1000, got 1001"),
        ({"min": -1, "max": 2}, "min: must be between 0 and 1000, got -1"),
        ({"min": 0, "max": 10**18}, "max: must be between 0 and 1000, got 1000000000000000000"),
        ({"min": 3, "max": 2}, "min: must be at most max, which is 2, got 3"),
        ({"size": "4"}, "size: expected an integer or null, got a string"),
    ],
)
async def test_resize_refuses_what_no_pool_can_be(talk: Talk, asked: dict[str, object], message: str) -> None:
    refusal = await talk.refusal("resize", pool="thumbs", **asked)
    assert (refusal.word, refusal.message) == ("invalid", message)


async def test_resize_knows_its_pools(talk: Talk) -> None:
    assert (await talk.refusal("resize", pool="nowhere", size=1)).word == "not_found"


async def test_status_and_drain(talk: Talk) -> None:
    status = await talk.ask("status")
    assert (status["version"], status["connections"], status["unserved"]) == ("1.2.3", 1, ["small"])
    assert status["store"] == {"url": "sqlite:stoker.db", "state": "ok", "reason": None, "epoch": 3, "disk_free": None}
    assert await talk.ask("drain") == {"drained": True}


async def test_an_unknown_method_is_told_the_known_ones(talk: Talk) -> None:
    refusal = await talk.refusal("sumbit")
    assert (refusal.code, refusal.word) == (-32601, "invalid")
    assert refusal.message.startswith(f'there is no method "sumbit"; did you mean "submit"? known: {KNOWN}')


# -- errors ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "error",
    [NotFound, Gone, TooLarge, Conflict, Forbidden, RestartFailed, StoreUnavailable],
    ids=lambda error: error.code,
)
async def test_a_refusal_of_the_service_reaches_the_client_with_its_word_and_data(
    talk: Talk, service: FakeService, error: type[Refused]
) -> None:
    service.breakage = error("try again later", holder="x", code="not this")
    refusal = await talk.refusal("submit", queue="thumbs", payload=1)
    assert (refusal.code, refusal.word, refusal.message) == (-32000, error.code, "try again later")
    assert refusal.data["holder"] == "x"


@pytest.mark.parametrize("method", ["get", "wait"])
async def test_an_answer_over_16_mib_is_refused_with_advice(talk: Talk, service: FakeService, method: str) -> None:
    service.add(id="a", state=State.DONE, result=b'"' + b"x" * 16 * 1024 * 1024 + b'"')
    refusal = await talk.refusal(method, id="a")
    assert (refusal.word, refusal.data["limit"]) == ("too_large", 16 * 1024 * 1024)
    assert refusal.data["size"] > refusal.data["limit"]


async def test_a_list_over_16_mib_is_refused_with_advice(talk: Talk, service: FakeService) -> None:
    for id in "ab":
        service.add(id=id, state=State.DONE, result=b'"' + b"x" * 9 * 1024 * 1024 + b'"')
    refusal = await talk.refusal("list", full=True)
    assert refusal.word == "too_large"
    assert refusal.message.endswith("use a smaller limit, or leave full out")
    assert len((await talk.ask("list"))["jobs"]) == 2
    assert (await talk.refusal("wait", ids=["a", "b"])).word == "too_large"
    service.add(id="c")
    assert (await talk.refusal("wait", ids=["a", "b", "c"], timeout_secs=0)).word == "too_large"


async def test_an_answer_that_only_its_small_members_make_too_big_is_refused_too(
    house: House, service: FakeService
) -> None:
    talk = await house.connect()
    service.add(id="a", progress=b'"' + b"x" * 17 * 1024 * 1024 + b'"')
    refusal = await talk.refusal("get", id="a")
    assert (refusal.word, refusal.message.split(": ")[-1]) == (
        "too_large",
        "list shows the job without its payload and result",
    )
