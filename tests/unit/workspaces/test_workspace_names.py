from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from cis_provider.model.session import SessionKey
from cis_provider.workspaces.names import OWN, branch_of, safe_name, slot_of

TEXTS = st.one_of(st.text(min_size=1, max_size=200), st.text("ab.-_/: ~@", min_size=1, max_size=90))


@given(TEXTS)
@example("..")
@example(".cis")
@example("-rf")
@example("a.lock")
@example("manual__2026-01-01T00:00:00+00:00")
@example("\ud800")
def test_a_name_is_one_short_part_of_a_path_and_of_a_branch(text: str) -> None:
    name = safe_name(text)
    assert 0 < len(name) <= 64
    assert name[0] not in ".-" and name != OWN
    assert set(name) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-")
    assert ".." not in name and not name.endswith((".", ".lock"))


@given(TEXTS, TEXTS)
@example("a:b", "a/b")
@example("a" * 100, "a" * 101)
def test_two_ids_never_share_a_name(one: str, other: str) -> None:
    assert (safe_name(one) == safe_name(other)) == (one == other)


@given(TEXTS)
def test_an_id_that_looks_like_another_ones_name_gets_its_own(text: str) -> None:
    name = safe_name(text)
    assert name == text or safe_name(name) != name


def test_plain_ids_stay_as_people_wrote_them() -> None:
    key = SessionKey("nightly-upgrade", "refactor_001", "find.pins")
    assert slot_of(Path("/r"), key).folder == Path("/r/nightly-upgrade/refactor_001/find.pins")
    assert branch_of(key) == "cis/nightly-upgrade/refactor_001/find.pins"


@pytest.mark.parametrize(
    "other",
    [
        SessionKey("d", "r", "a", 1),
        SessionKey("d", "r", "a@0"),
        SessionKey("d", "r", "a~2"),
        SessionKey("d", "r", "a"),
    ],
)
def test_mapped_agents_and_later_workspaces_share_nothing_with_others(other: SessionKey) -> None:
    mine = slot_of(Path("/r"), SessionKey("d", "r", "a", 0))
    theirs = slot_of(Path("/r"), other)
    assert mine.folder != theirs.folder and mine.record != theirs.record
    assert mine.later(2).folder not in (theirs.folder, theirs.later(2).folder, mine.folder)
