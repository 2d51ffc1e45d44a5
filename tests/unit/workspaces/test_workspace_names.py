from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from cis_provider.errors import ConfigError
from cis_provider.model.scope import GLOBAL, TaskScope
from cis_provider.model.session import SessionKey
from cis_provider.workspaces.names import OWN, branch_of, home_of, is_scope_home, safe_name, slot_of

TEXTS = st.one_of(st.text(min_size=1, max_size=200), st.text("ab.-_/: ~@", min_size=1, max_size=90))

SCOPES = st.one_of(
    st.just(GLOBAL),
    st.builds(
        TaskScope,
        st.sampled_from(["project", "user", "type"]),
        st.from_regex(r"[A-Za-z0-9]([A-Za-z0-9_-]|\.(?!\.)){0,20}", fullmatch=True),
    ),
)


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


@given(SCOPES, SCOPES)
@example(TaskScope("project", "a"), TaskScope("user", "a"))
@example(TaskScope("project", "a-b"), TaskScope("project", "a"))
@example(TaskScope("project", "a.lock"), TaskScope("project", "a"))
@example(TaskScope("project", "a" * 64), TaskScope("project", "a" * 63))
def test_two_scopes_never_share_a_folder_and_none_is_inside_anothers(
    one: TaskScope, other: TaskScope
) -> None:
    mine, theirs = home_of(Path("/r"), one), home_of(Path("/r"), other)
    assert (mine == theirs) == (one == other)
    if "global" not in (one.kind, other.kind) and one != other:
        assert not mine.is_relative_to(theirs)


@given(SCOPES, TEXTS)
@example(TaskScope("project", "a"), "@project-a")
def test_no_dags_folder_is_that_of_a_scope(scope: TaskScope, dag_id: str) -> None:
    dag = slot_of(Path("/r"), SessionKey(dag_id, "r", "a")).run.parent
    assert not is_scope_home(dag.name)
    home = home_of(Path("/r"), scope)
    assert dag != home and is_scope_home(home.name) == (scope != GLOBAL)


def test_a_slot_knows_the_folder_of_its_scope() -> None:
    slot = slot_of(Path("/r"), SessionKey("d", "r", "a"), TaskScope("user", "123"))
    assert slot.folder == Path("/r/@user-123/d/r/a")
    assert slot.home == slot.later(2).home == Path("/r/@user-123")
    assert slot_of(Path("/r"), SessionKey("d", "r", "a")).home == Path("/r")
    # A folder's name stays one that every program takes.
    assert home_of(Path("/r"), TaskScope("project", "\u5206")).name.isascii()


@pytest.mark.parametrize("scope_id", ["..", "a/b", "a/../../b", "", ".cis", "a\0b"])
def test_no_scope_leads_out_by_its_id(scope_id: str) -> None:
    with pytest.raises(ConfigError):
        home_of(Path("/r"), TaskScope("project", scope_id))
