from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from cis_provider.model.session import SessionKey, SessionRequest
from cis_provider.worker.environment import agent_environment, input_name


def environment(node: dict[str, str] | None = None, **changes: object) -> dict[str, str]:
    values: dict[str, object] = {
        "key": SessionKey("d", "r", "a"),
        "try_number": 1,
        "max_tries": 0,
        "agent_id": "a",
        "agent_type": "shell",
        "command": "true",
        **changes,
    }
    return agent_environment(
        SessionRequest(**values),  # type: ignore[arg-type]
        session_id="s1",
        folder=Path("/sessions/s1"),
        workspace=Path("/w"),
        temporary=Path("/tmp/s1"),
        node=node or {},
    )


@pytest.mark.parametrize(
    ("scope", "worker"),
    [
        ("project:proj-a", "worker-project-proj-a"),
        ("user:123", "worker-user-123"),
        ("global", "worker-global"),
    ],
)
def test_an_agent_knows_its_scope_and_its_worker(scope: str, worker: str) -> None:
    env = environment(scope=scope, env={"CIS_SCOPE": "project:other", "CIS_WORKER": "mine"})
    assert (env["CIS_SCOPE"], env["CIS_WORKER"]) == (scope, worker)


def test_the_temporary_folder_is_the_sessions_unless_the_file_names_another() -> None:
    node = {"TMPDIR": "/everybodys", "PATH": "/bin"}
    assert environment(node)["TMPDIR"] == "/tmp/s1"
    assert environment(node, env={"TMPDIR": "/big"})["TMPDIR"] == "/big"


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="/\0"), min_size=1, max_size=400))
@example("\u5206" * 84)
@example("\u5206" * 85)
@example("a" * 252)
@example("a" * 253)
@example("a" * 251 + "\u5206")
def test_an_inputs_file_has_a_name_that_a_file_can_have(agent_id: str) -> None:
    name = input_name(agent_id)
    assert len(name.encode()) <= 255 and name.endswith(".md")
    if len(agent_id.encode()) <= 252:
        assert name == f"{agent_id}.md"


def test_long_ids_that_begin_alike_have_files_of_their_own() -> None:
    begin = "\u5206" * 100
    names = {input_name(begin), input_name(begin + "a"), input_name(begin + "b")}
    assert len(names) == 3 and all(name.startswith("\u5206" * 70) for name in names)
