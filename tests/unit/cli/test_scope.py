"""What ``cis dag scope`` prints."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cis_provider.cli.main import main

FILE = """\
exclusive: agent
params: {user: me}
agents:
  - {id: plan, type: shell, command: x, node: gpu}
  - {id: build, type: shell, command: x, node: gpu, deps: [plan]}
  - {id: other, type: shell, command: x, scope: "project:app", node: gpu}
  - {id: notify, type: shell, command: x, scope: global, when: always}
  - {id: mine, type: shell, command: x, scope: "user:{{ params.user }}"}
"""


@pytest.fixture
def file(tmp_path: Path, cis_home: Path) -> Path:
    path = tmp_path / "proj-app-nightly.yaml"
    path.write_text(FILE)
    return path


def test_each_scope_is_shown_with_its_agents_and_the_rule(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["dag", "scope", str(file)]) == 0
    assert capsys.readouterr().out.split("\n\n")[0].splitlines() == [
        "project:app",
        "  agents       plan, build, other",
        '  decided by   DAG id proj-app-nightly, after "proj-", less "-nightly"; scope: of agent other (line 6)',
        "  exclusive    agent: one agent at a time",
        "  pool         cis-project-app, 1 slot",
        "  worker       worker-project-app",
        "  node         gpu",
    ]


def test_scripts_read_the_same_as_records(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["dag", "scope", str(file), "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [row["scope"] for row in rows] == ["project:app", "global", "user:{{ params.user }}"]
    assert rows[0] | {"rule": ""} == {
        "scope": "project:app",
        "agents": ["plan", "build", "other"],
        "rule": "",
        "exclusive": "agent",
        "pool": "cis-project-app",
        "slots": 1,
        "worker": "worker-project-app",
        "node": "gpu",
    }
    assert rows[1] | {"rule": ""} == {
        "scope": "global",
        "agents": ["notify"],
        "rule": "",
        "exclusive": "agent",
        "pool": "cis-dag-proj-app-nightly",
        "slots": 4,
        "worker": "worker-global",
        "node": "",
    }
    assert (rows[2]["worker"], rows[2]["pool"]) == (None, "cis-dag-proj-app-nightly")


def test_a_file_with_mistakes_is_not_shown_but_its_mistakes_are(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file.write_text("scope: team:a\n" + FILE)
    assert main(["dag", "scope", str(file)]) == 1
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.startswith(f"{file}:1:8: F111 'team:a' is no scope")
