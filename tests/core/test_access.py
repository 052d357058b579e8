"""Who may do what, for any lists and any caller."""

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from supervisor.core.access import NOBODY, ROOT, Access, Listed, Lists, Peer, Reach, Sight, reach
from supervisor.core.roles import Role

OWNER = 7
QUEUES = ("mail", "nightly", "thumbs")

uids = st.integers(0, 12)
gids = st.integers(20, 26)
listed = st.builds(
    Listed,
    users=st.frozensets(uids, max_size=3),
    groups=st.frozensets(gids, max_size=2),
    socket_group=st.booleans(),
    everybody=st.booleans(),
)
lists = st.builds(Lists, admin=listed, submit=listed, look=listed)
accesses = st.builds(
    Access,
    owner=st.just(OWNER),
    lists=lists,
    queues=st.dictionaries(st.sampled_from(QUEUES[:2]), lists),
)
peers = st.builds(Peer, st.just(1), uids, st.frozensets(gids, max_size=3), st.none() | gids)
ceilings = st.sampled_from(Role)
ALICE = Peer(1, 1001, frozenset({100}), 50)


def roles(found: Reach) -> list[int]:
    """For the daemon as a whole, and in each queue."""
    return [found.role(None), *(found.role(queue) for queue in QUEUES)]


@given(accesses, peers, ceilings)
def test_nobody_has_more_than_his_socket_grants(access: Access, peer: Peer, ceiling: Role) -> None:
    assert max(roles(reach(access, peer, ceiling))) <= ceiling


@given(accesses, peers, ceilings)
def test_a_lower_ceiling_takes_away_what_is_above_it_and_nothing_else(
    access: Access, peer: Peer, ceiling: Role
) -> None:
    free = roles(reach(access, peer, Role.ADMIN))
    assert roles(reach(access, peer, ceiling)) == [min(role, ceiling) for role in free]


@given(accesses, st.sampled_from([ROOT, OWNER]), st.frozensets(gids), ceilings)
def test_root_and_the_daemons_own_user_have_all_that_the_socket_grants(
    access: Access, uid: int, groups: frozenset[int], ceiling: Role
) -> None:
    assert set(roles(reach(access, Peer(1, uid, groups, None), ceiling))) == {ceiling}


@given(accesses, peers)
def test_who_administers_the_daemon_administers_every_queue(access: Access, peer: Peer) -> None:
    found = reach(access, peer, Role.ADMIN)
    assert found.role(None) < Role.ADMIN or set(roles(found)) == {Role.ADMIN}


@given(accesses, peers, gids, ceilings)
def test_one_group_more_takes_nothing_away(access: Access, peer: Peer, group: int, ceiling: Role) -> None:
    before, after = (roles(reach(access, one, ceiling)) for one in (peer, peer._replace(groups=peer.groups | {group})))
    assert all(role <= more for role, more in zip(before, after, strict=True))


@given(lists, peers, st.sampled_from(["admin", "submit", "look"]))
def test_who_is_put_into_a_list_has_at_least_its_role(one: Lists, peer: Peer, name: str) -> None:
    listed: Listed = getattr(one, name)
    more = replace(one, **{name: replace(listed, users=listed.users | {peer.uid})})
    assert more.role(peer) >= max(one.role(peer), Role[name.upper()])


@given(accesses, peers, ceilings)
def test_least_and_most_are_the_bounds_of_all_roles_and_sight_has_the_queues_above_none(
    access: Access, peer: Peer, ceiling: Role
) -> None:
    found = reach(access, peer, ceiling)
    assert (found.least, found.most) == (min(roles(found)), max(roles(found)))
    for queue in QUEUES:
        assert (found.sight is None or found.sight.shows(queue)) == (found.role(queue) >= Role.LOOK)
    assert (found.sight is None) == (found.least >= Role.LOOK)


def test_without_lists_the_sockets_group_submits_and_nobody_else_has_a_role() -> None:
    access = Access(owner=OWNER)
    assert reach(access, ALICE._replace(socket_group=100), Role.ADMIN).most == Role.SUBMIT
    assert reach(access, ALICE, Role.ADMIN).most == NOBODY
    assert reach(access, ALICE._replace(socket_group=None), Role.ADMIN).most == NOBODY


def test_without_an_owner_root_alone_administers() -> None:
    assert reach(Access(owner=None), ALICE._replace(uid=ROOT), Role.ADMIN).least == Role.ADMIN
    assert reach(Access(owner=None), ALICE._replace(uid=65534), Role.ADMIN).most == NOBODY


def test_a_queue_with_lists_of_its_own_goes_by_these_alone() -> None:
    mailers = Lists(submit=Listed(groups=frozenset({200})), look=Listed())
    access = Access(owner=OWNER, lists=Lists(submit=Listed(everybody=True)), queues={"mail": mailers})
    found = reach(access, ALICE, Role.ADMIN)
    assert (found.role("mail"), found.role("other"), found.role(None)) == (NOBODY, Role.SUBMIT, Role.SUBMIT)
    assert found.sight == Sight(frozenset({"mail"}), but=True)
    found = reach(access, ALICE._replace(groups=frozenset({200})), Role.ADMIN)
    assert found.sight is None


def test_who_is_in_the_lists_of_a_queue_only_sees_that_one_alone() -> None:
    own = Lists(admin=Listed(users=frozenset({1001})))
    found = reach(Access(owner=OWNER, queues={"mail": own}), ALICE, Role.ADMIN)
    assert (found.role("mail"), found.role(None), found.most) == (Role.ADMIN, NOBODY, Role.ADMIN)
    assert found.sight == Sight(frozenset({"mail"}), but=False)
