"""Who may do what at the socket, and what he hears and others see of it where he may not."""

import gc
from typing import Any

import msgspec
import pytest
import structlog.testing

from supervisor.batch.words import BatchState
from supervisor.config import people
from supervisor.config.model import AccessConfig
from supervisor.control import server
from supervisor.control.access import Caller, Demand, access_of
from supervisor.control.context import Context
from supervisor.control.dispatch import Dispatcher, Work
from supervisor.control.methods import METHODS
from supervisor.control.receiving import Receptions
from supervisor.core.access import Access, Listed, Lists, Peer
from supervisor.core.denials import Denials
from supervisor.core.job import State
from supervisor.core.journal import Kind
from supervisor.core.roles import Role
from supervisor.errors import Forbidden
from tests.control.conftest import House, open_house
from tests.control.fake_batches import batch_id
from tests.control.fake_service import NOW, FakeService, a_config
from tests.control.guarded import (
    ADMIN,
    GROUP,
    LOOKER,
    MAILER,
    MEMBER,
    OWN,
    STRANGER,
    SUBMITTER,
    Guarded,
    a_guarded_config,
)
from tests.control.talk import Refusal, a_request

BATCH = batch_id(1)
PARAMS: dict[str, dict[str, Any]] = {
    "submit": {"queue": "thumbs", "payload": 1},
    "submit_many": {"jobs": [{"queue": "thumbs", "payload": 1}]},
    "wait": {"ids": []},
    **{method: {"id": "a"} for method in ("get", "position", "cancel", "retry", "delete")},
    **{method: {"tag": "x"} for method in ("retry_many", "cancel_many", "delete_many")},
    **{method: {"queue": "thumbs"} for method in ("pause", "resume", "purge")},
    "restart": {"pool": "thumbs"},
    "resize": {"pool": "thumbs", "size": 1},
    "batch_submit": {"queue": "thumbs", "lines": "1\n"},
    **{method: {"id": BATCH} for method in ("batch_get", "batch_cancel", "batch_delete", "batch_output")},
    "batch_gc": {"older_than_secs": 0},
}


@pytest.fixture
def service() -> FakeService:
    return FakeService(a_guarded_config(mail=OWN))


@pytest.fixture
def guarded(house: House, monkeypatch: pytest.MonkeyPatch) -> Guarded:
    return Guarded(house, monkeypatch)


@pytest.mark.parametrize("method", sorted(METHODS))
async def test_each_method_takes_its_role_and_no_more(method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    service = FakeService(a_guarded_config())
    service.add(id="a", state=State.FAILED)
    service.batches.add(BATCH, state=BatchState.FAILED)
    needs = METHODS[method].role
    async with open_house(service) as house:
        guarded = Guarded(house, monkeypatch)
        for role, peer in ((Role.LOOK, LOOKER), (Role.SUBMIT, SUBMITTER), (Role.ADMIN, ADMIN)):
            talk = await guarded.come(peer)
            params = PARAMS.get(method, {})
            if role < needs:
                refusal = await talk.refusal(method, **params)
                assert (refusal.code, refusal.word) == (-32000, "forbidden")
                assert (refusal.data["needs"], refusal.data["has"]) == (needs.name.lower(), role.name.lower())
                assert [one["method"] for one in guarded.denied()] == [method]
            else:
                await talk.ask(method, **params)
                if method == "delete":
                    service.add(id="a", state=State.FAILED)
                service.batches.add(BATCH, state=BatchState.FAILED)
                service.jobs["a"].state = State.FAILED


async def test_the_refusal_says_who_we_are_what_it_takes_and_what_to_do(guarded: Guarded) -> None:
    refusal = await (await guarded.come(SUBMITTER)).refusal("restart", pool="thumbs")
    assert refusal.message == (
        '"restart" needs the role admin, and the user with uid 3002 has submit: '
        "ask for an entry in admin under [access] in /etc/stoker.toml, or use sudo"
    )
    assert guarded.denied() == [
        {
            "uid": 3002,
            "user": None,
            "pid": 4321,
            "groups": [3002],
            "socket_group": GROUP,
            "method": "restart",
            "queue": None,
            "needs": "admin",
            "has": "submit",
            "left_out": 0,
        }
    ]


async def test_what_the_socket_does_not_grant_no_list_gives(guarded: Guarded, service: FakeService) -> None:
    caller = Caller(service, ADMIN, Role.SUBMIT, Denials())  # type: ignore[arg-type]
    caller.demand(Demand("submit", Role.SUBMIT), "mail")
    with pytest.raises(Forbidden, match=r"has submit: this socket grants submit at most, use another one$"):
        caller.demand(Demand("drain", Role.ADMIN))
    guarded.denied()


async def test_a_refusal_comes_before_anything_is_said_of_the_parameters(guarded: Guarded) -> None:
    assert (await (await guarded.come(LOOKER)).refusal("restart", nonsense=1)).word == "forbidden"
    guarded.denied()


async def test_the_same_refusal_is_logged_once(guarded: Guarded) -> None:
    for _ in range(3):
        talk = await guarded.come(LOOKER)
        for _ in range(20):
            await talk.refusal("drain")
    await talk.refusal("restart", pool="thumbs")
    assert [one["method"] for one in guarded.denied()] == ["drain", "restart"]


async def test_the_sockets_group_submits(guarded: Guarded) -> None:
    talk = await guarded.come(MEMBER)
    assert (await talk.ask("ping"))["role"] == "submit"
    assert (await talk.ask("submit", queue="thumbs", payload=1))["created"]


async def test_who_has_no_role_is_told_so_and_turned_away(guarded: Guarded, service: FakeService) -> None:
    talk = await guarded.come(STRANGER)
    refused = await talk.receive()
    assert (refused["id"], refused["error"]["code"]) == (None, -32000)
    assert refused["error"]["data"] == {"code": "forbidden", "needs": "look", "has": None}
    assert refused["error"]["message"] == (
        "the user with uid 3004 may do nothing here: ask for an entry in look under [access] in /etc/stoker.toml, "
        "or use sudo"
    )
    assert await talk.ended()
    assert [(one["uid"], one["method"]) for one in guarded.denied()] == [(3004, "connect")]
    assert service.connections == 0


async def test_a_bug_in_telling_who_it_is_lets_nobody_in(
    house: House, service: FakeService, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: object) -> Peer:
        raise OSError("no credentials")

    monkeypatch.setattr(server, "peer_of", fail)
    assert await (await house.connect()).ended()
    assert house.logs.pop()["event"] == "connection_failed"
    assert service.connections == 0


async def test_new_rules_hold_for_connections_that_are_there(guarded: Guarded, service: FakeService) -> None:
    talk = await guarded.come(LOOKER)
    await talk.refusal("submit", queue="thumbs", payload=1)
    lists = AccessConfig(submit=("3001",))
    service.access = access_of(msgspec.structs.replace(service.config, access=lists), owner=0)
    assert (await talk.ask("submit", queue="thumbs", payload=1))["created"]
    service.access = access_of(msgspec.structs.replace(service.config, access=AccessConfig()), owner=0)
    assert (await talk.refusal("ping")).word == "forbidden"
    guarded.denied()


def test_a_call_that_is_dropped_before_its_turn_leaves_nothing_behind(service: FakeService) -> None:
    caller = Caller(service, SUBMITTER, Role.ADMIN, Denials())  # type: ignore[arg-type]
    dispatcher = Dispatcher(Context(service, lambda: NOW, caller, Receptions().of(3002)))  # type: ignore[arg-type]
    work = dispatcher.begin(a_request("get", {"id": "a"}, 1))
    assert isinstance(work, Work)
    assert work.in_turn
    work.drop()
    del work
    gc.collect()  # a coroutine that nobody has awaited says so now


def test_what_a_queue_does_not_say_is_as_for_the_daemon() -> None:
    access = access_of(a_guarded_config(mail=AccessConfig(submit=("3006",))), owner=7)
    daemon, mail = access.lists, access.queues["mail"]
    assert access.queues.keys() == {"mail"}
    assert (mail.admin, mail.submit, mail.look) == (daemon.admin, Listed(users=frozenset({3006})), daemon.look)
    assert daemon.submit == Listed(users=frozenset({3002}), groups=frozenset({GROUP}))


def test_without_lists_the_sockets_group_submits() -> None:
    assert access_of(a_config(), owner=7) == Access(owner=7, lists=Lists(submit=Listed(socket_group=True)))


def test_an_entry_that_names_nobody_is_logged_and_means_nobody() -> None:
    lists = AccessConfig(look=("no such user", "*"))
    with structlog.testing.capture_logs() as logs:
        access = access_of(msgspec.structs.replace(a_config(), access=lists), owner=7)
    assert access.lists.look == Listed(everybody=True)
    [line] = logs
    assert (line["event"], line["key"], line["entry"]) == ("access_unknown", "access.look", "no such user")


@pytest.mark.parametrize(
    ("mapped", "owner"),
    [
        ([(0, 2**32 - 1)], people.overflow("uid")),
        ([(0, 1), (people.overflow("uid"), 1)], None),
        ([], None),
        (None, None),
    ],
    ids=["the machine's", "one with few users", "one without any", "unknown"],
)
def test_a_daemon_that_is_nobody_knows_its_own_only_where_no_stranger_is_shown_as_nobody(
    mapped: list[tuple[int, int]] | None, owner: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(people, "_mapped", lambda what: mapped)
    with structlog.testing.capture_logs() as logs:
        assert access_of(a_config(), owner=people.overflow("uid")).owner == owner
        assert access_of(a_config(), owner=7).owner == 7
    assert [line["event"] for line in logs] == ["access_unknown"] * (owner is None)


# -- a queue with lists of its own -----------------------------------------------------------------------------------


async def test_only_whom_the_queue_names_submits_to_it(guarded: Guarded, service: FakeService) -> None:
    talk = await guarded.come(SUBMITTER)
    refusal = await talk.refusal("submit", queue="mail", payload=1)
    assert (refusal.word, refusal.data["queue"], refusal.data["has"]) == ("forbidden", "mail", None)
    assert "under [queues.mail.access] in /etc/stoker.toml" in refusal.message
    jobs = [{"queue": queue, "payload": 1} for queue in ("thumbs", "mail")]
    assert (await talk.refusal("submit_many", jobs=jobs)).word == "forbidden"
    assert service.handed == []
    assert (await talk.ask("submit", queue="thumbs", payload=1))["created"]
    mailer = await guarded.come(MAILER)
    assert (await mailer.ask("submit", queue="mail", payload=1))["created"]
    assert (await mailer.refusal("submit", queue="thumbs", payload=1)).word == "forbidden"
    guarded.denied()


@pytest.mark.parametrize("method", ["get", "position", "wait", "cancel", "retry", "delete"])
async def test_a_job_of_a_hidden_queue_is_not_there(guarded: Guarded, service: FakeService, method: str) -> None:
    service.add(id="a", queue="mail", state=State.FAILED)
    service.add(id="b", queue="thumbs", state=State.FAILED)
    talk = await guarded.come(SUBMITTER)
    hidden, missing = [await talk.refusal(method, id=one) for one in ("a", "nowhere")]
    assert (hidden.word, missing.word) == ("not_found", "not_found")
    await talk.ask(method, id="b")
    await (await guarded.come(MAILER)).ask(method, id="a")
    assert [(one["method"], one["queue"]) for one in guarded.denied()] == [(method, "mail")]


async def test_several_jobs_are_waited_for_only_where_all_may_be_looked_at(
    guarded: Guarded, service: FakeService
) -> None:
    service.add(id="a", queue="mail", state=State.PENDING)
    service.add(id="b", queue="thumbs", state=State.DONE)
    assert (await (await guarded.come(LOOKER)).refusal("wait", ids=["b", "a"])).word == "not_found"
    assert service.waiting == 0
    guarded.denied()


async def test_a_job_of_a_hidden_queue_is_not_found_by_its_key(guarded: Guarded, service: FakeService) -> None:
    service.add(id="a", queue="mail", client="shop", key="7")
    assert (await (await guarded.come(LOOKER)).refusal("get", client="shop", key="7")).word == "not_found"
    assert (await (await guarded.come(MAILER)).ask("get", client="shop", key="7"))["id"] == "a"
    guarded.denied()


async def test_one_who_may_look_at_a_job_only_is_forbidden_to_cancel_it(guarded: Guarded, service: FakeService) -> None:
    service.add(id="a", queue="thumbs")
    assert (await (await guarded.come(LOOKER)).refusal("cancel", id="a")).word == "forbidden"
    guarded.denied()


async def test_a_list_and_its_total_hold_what_may_be_looked_at_page_by_page(
    guarded: Guarded, service: FakeService
) -> None:
    queues = ["thumbs", "mail", "small", "thumbs", "mail", "small", "small"]
    for number, queue in enumerate(queues):
        service.add(id=f"{number}", queue=queue)
    talk = await guarded.come(LOOKER)
    seen, cursor = [], None
    while True:
        page = await talk.ask("list", limit=2, **({} if cursor is None else {"cursor": cursor}))
        assert page["total"] == 5
        seen += [job["id"] for job in page["jobs"]]
        cursor = page["next"]
        if cursor is None:
            break
    assert seen == ["6", "5", "3", "2", "0"]
    assert (await talk.refusal("list", queue="mail")).word == "forbidden"
    mailer = await guarded.come(MAILER)
    assert [job["id"] for job in (await mailer.ask("list"))["jobs"]] == ["4", "1"]
    guarded.denied()


async def test_what_runs_and_happens_is_shown_for_the_queues_in_sight(guarded: Guarded, service: FakeService) -> None:
    for number, queue in enumerate(("mail", "thumbs")):
        service.add(id=f"{number}", queue=queue, state=State.RUNNING)
        service.happen(Kind.STARTED, job=f"{number}", queue=queue)
    for peer, queue in ((LOOKER, "thumbs"), (MAILER, "mail")):
        talk = await guarded.come(peer)
        running = await talk.ask("running")
        assert ([job["queue"] for job in running["jobs"]], running["total"]) == ([queue], 1)
        assert [event["queue"] for event in (await talk.ask("events"))["events"]] == [queue]
        await talk.ask("subscribe")
        assert (await talk.receive())["params"]["queue"] == queue


@pytest.mark.parametrize("method", ["events", "subscribe", "running", "queues"])
async def test_a_hidden_queue_cannot_be_asked_for(guarded: Guarded, method: str) -> None:
    refusal = await (await guarded.come(LOOKER)).refusal(method, queue="mail")
    assert (refusal.word, refusal.data["queue"]) == ("forbidden", "mail")
    guarded.denied()


async def test_figures_are_shown_for_the_queues_in_sight(guarded: Guarded) -> None:
    for peer, names in ((LOOKER, ["thumbs", "small"]), (MAILER, ["mail"])):
        talk = await guarded.come(peer)
        assert [view["queue"] for view in (await talk.ask("queues"))["queues"]] == names
        assert [view["queue"] for view in (await talk.ask("status"))["queues"]] == names


async def test_a_filter_over_all_queues_takes_the_role_in_all(guarded: Guarded, service: FakeService) -> None:
    talk = await guarded.come(SUBMITTER)
    refusal = await talk.refusal("cancel_many", tag="x")
    assert refusal.word == "forbidden"
    assert "name a queue" in refusal.message
    assert (await talk.refusal("cancel_many", queue="mail")).word == "forbidden"
    assert service.asked == []
    assert (await talk.ask("cancel_many", queue="thumbs"))["matched"] == 5
    guarded.denied()


async def test_a_queue_may_have_administrators_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    service = FakeService(a_guarded_config(mail=AccessConfig(admin=("3006",))))
    async with open_house(service) as house:
        guarded = Guarded(house, monkeypatch)
        talk = await guarded.come(MAILER)
        assert (await talk.ask("pause", queue="mail"))["paused"]
        assert (await talk.ask("ping")) == {
            "version": "1.2.3",
            "protocol": 1,
            "role": None,
            "queues": {"mail": "admin"},
        }
        for method, params in (("pause", {"queue": "thumbs"}), ("restart", {"pool": "thumbs"}), ("drain", {})):
            assert (await talk.refusal(method, **params)).word == "forbidden"
        assert (await (await guarded.come(ADMIN)).ask("pause", queue="mail"))["paused"]
        guarded.denied()


async def test_a_subscription_ends_when_its_queues_may_be_looked_at_no_more(
    guarded: Guarded, service: FakeService
) -> None:
    talk = await guarded.come(MAILER)
    await talk.ask("subscribe", queue="mail")
    service.happen(Kind.STARTED, queue="mail")
    assert (await talk.receive())["method"] == "event"
    service.access = access_of(service.config, owner=1)
    service.happen(Kind.DONE, queue="mail")
    assert (await talk.receive())["method"] == "event"  # other rules, to the same effect
    service.access = access_of(a_config(), owner=1)
    service.happen(Kind.STARTED, queue="mail")
    assert await talk.ended()
    guarded.denied()


async def test_what_was_waited_for_is_not_told_when_it_may_be_looked_at_no_more(
    guarded: Guarded, service: FakeService
) -> None:
    service.add(id="m", queue="mail", state=State.RUNNING)
    talk = await guarded.come(MAILER)
    await talk.say(a_request("wait", {"id": "m"}, 1))
    await talk.say(a_request("events", {"queue": "mail", "wait_secs": 60}, 2))
    await talk.say(a_request("ping", {}, 3))
    assert (await talk.receive())["id"] == 3
    service.access = access_of(a_config(), owner=1)
    service.happen(Kind.DONE, queue="mail")
    service.end("m")
    answers = {one["id"]: one["error"]["data"]["code"] for one in [await talk.receive(), await talk.receive()]}
    assert answers == {1: "not_found", 2: "forbidden"}
    guarded.denied()


async def test_what_is_not_there_and_what_is_wrong_is_said_as_to_everybody(guarded: Guarded) -> None:
    talk = await guarded.come(SUBMITTER)
    with pytest.raises(Refusal, match="id: give either"):
        await talk.ask("get")
    assert (await talk.refusal("submit", queue="thmubs", payload=1)).word == "unknown_queue"
    assert (await talk.refusal("wait", ids=["a"] * 10_001)).word == "too_large"
