import os
import uuid
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.batch.ids import checked, is_id, new_id
from supervisor.batch.spool import Spools
from supervisor.errors import NotFound

GOOD = "0199f3c2-7d1e-7abc-8def-0123456789ab"

NASTY = [
    "",
    ".",
    "..",
    "/",
    "../../etc/passwd",
    "/etc/passwd",
    "status.json",
    f".new-{GOOD}",
    f".gone-{GOOD}",
    f"{GOOD}/..",
    f"{GOOD}/",
    f"./{GOOD}",
    f"{GOOD}\n",
    f"{GOOD}\0",
    f" {GOOD}",
    GOOD.upper(),
    GOOD[:-1],
    GOOD + "0",
    GOOD.replace("-", ""),
    GOOD.replace("7abc", "4abc"),  # another version of UUID
    GOOD.replace("8def", "cdef"),  # another variant
    GOOD.replace("0", "\N{ARABIC-INDIC DIGIT ZERO}"),
    GOOD.replace("0", "\N{FULLWIDTH DIGIT ZERO}"),
    "{" + GOOD + "}",
    f"urn:uuid:{GOOD}",
    str(uuid.UUID(GOOD).int),
    "\ud800",
]


def test_new_ids_are_ids_and_a_later_one_is_greater() -> None:
    ids = [new_id() for _ in range(100)]
    assert ids == sorted(set(ids))
    assert all(checked(one) == one for one in ids)


@given(st.sampled_from(NASTY) | st.text(max_size=50) | st.text("0123456789abcdef-", min_size=30, max_size=40))
def test_what_is_no_id_never_becomes_a_path(text: str) -> None:
    spools = Spools(Path("/nowhere/batches"))
    if is_id(text):
        assert spools.folder(text) == Path(f"/nowhere/batches/{uuid.UUID(text)}")
        return
    for call in (spools.folder, spools.open, spools.remove):
        with pytest.raises(NotFound) as caught:
            call(text)
        assert len(caught.value.message) < 300


@pytest.mark.parametrize("text", NASTY)
def test_nothing_outside_is_read_or_removed_by_a_nasty_id(text: str, tmp_path: Path) -> None:
    root = tmp_path / "batches"
    root.mkdir()
    outside = tmp_path / "status.json"
    outside.write_bytes(b"precious")
    spools = Spools(root)
    for call in (spools.open, spools.remove):
        with pytest.raises(NotFound):
            call(text)
    assert outside.read_bytes() == b"precious"
    assert os.listdir(tmp_path) in (["batches", "status.json"], ["status.json", "batches"])
