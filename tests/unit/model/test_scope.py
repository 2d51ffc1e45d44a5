"""Scopes as text, and the names that are made of them."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import msgspec
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from cis_provider.errors import ConfigError
from cis_provider.model.scope import GLOBAL, TaskScope
from cis_provider.pools import scope_pool_name

#: Mostly what is allowed, and everything that could lead out of a folder.
_CHARACTERS = st.one_of(
    st.sampled_from("ab09._-@+/\\:\0\n \u202e\u0301é项目Ωक"), st.characters(codec="utf-8")
)
_IDS = st.text(_CHARACTERS, min_size=1, max_size=80)
_KINDS = st.sampled_from(["project", "user", "type"])


def _scope(kind: str, scope_id: str) -> TaskScope:
    try:
        return TaskScope(kind, scope_id)  # type: ignore[arg-type]
    except ConfigError:
        assume(False)
        raise


scopes = st.builds(_scope, _KINDS, st.from_regex(r"[^\W_][\w.@+-]{0,63}", fullmatch=True) | _IDS) | st.just(
    GLOBAL
)


@pytest.mark.parametrize(
    ("scope", "text", "worker"),
    [
        (TaskScope.project("proj-a"), "project:proj-a", "worker-project-proj-a"),
        (TaskScope.user("123"), "user:123", "worker-user-123"),
        (TaskScope.type("backup"), "type:backup", "worker-type-backup"),
        (GLOBAL, "global", "worker-global"),
        (
            TaskScope.user("anna+ci@example.org"),
            "user:anna+ci@example.org",
            "worker-user-anna+ci@example.org",
        ),
        (TaskScope.project("项目-1"), "project:项目-1", "worker-project-项目-1"),
    ],
)
def test_a_scope_has_a_text_and_a_worker(scope: TaskScope, text: str, worker: str) -> None:
    assert (str(scope), scope.worker_name) == (text, worker)
    assert TaskScope.parse(text) == scope


@pytest.mark.parametrize(
    "scope_id",
    ["", ".", "..", "a..b", "../x", "a/b", "a\\b", "a b", "a\n", "\0", "a\u202eb", "_a", "-a", "@a", "+a", "a:b",
     "x" * 65, "项" * 43],
)  # fmt: skip
def test_an_id_that_could_lead_elsewhere_is_refused_with_what_is_allowed(scope_id: str) -> None:
    with pytest.raises(ConfigError) as caught:
        TaskScope.project(scope_id)
    assert f"scope project:{scope_id!r}"[:60] in str(caught.value)
    assert "up to 64 letters or digits" in str(caught.value)


def test_an_id_of_any_script_may_have_sixty_four_characters_and_a_hundred_and_twenty_eight_bytes() -> None:
    assert len(TaskScope.user("x" * 64).id) == 64
    assert len(TaskScope.user("ж" * 64).id.encode()) == 128


def test_a_kind_that_does_not_exist_is_refused() -> None:
    with pytest.raises(
        ConfigError, match="'team' is no kind of scope; there are project, user, type, global"
    ):
        TaskScope("team", "x")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="the global scope has no id"):
        TaskScope("global", "x")


def test_what_is_typed_in_two_ways_is_one_scope() -> None:
    composed, decomposed = "caf\u00e9", "cafe\u0301"
    assert TaskScope.project(decomposed) == TaskScope.project(composed)
    assert TaskScope.parse(f"project:{decomposed}").worker_name == f"worker-project-{composed}"


@given(scopes)
def test_no_file_of_a_scope_leaves_its_folder(scope: TaskScope) -> None:
    folder = Path("/run/workers")
    for name in (
        scope.worker_name,
        scope_pool_name(scope),
        scope.id or "global",
        f"@{scope.kind}-{scope.id}",
    ):
        file = Path(folder, name)
        assert file.parent == folder
        assert file.resolve().parent == folder
        assert "\0" not in name
        assert len(f"{name}.lock.tmp".encode()) < 255
        assert name.isprintable()


@given(scopes)
def test_a_scope_survives_being_written_and_read(scope: TaskScope) -> None:
    assert TaskScope.parse(str(scope)) == scope
    assert msgspec.json.decode(msgspec.json.encode(scope), type=TaskScope) == scope
    assert unicodedata.is_normalized("NFC", str(scope))


@given(scopes, scopes)
def test_two_scopes_have_two_workers_and_two_pools(one: TaskScope, other: TaskScope) -> None:
    assert (one == other) == (one.worker_name == other.worker_name)
    assert (one == other) == (scope_pool_name(one) == scope_pool_name(other))
