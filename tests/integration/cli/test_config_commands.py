"""``cis config``, and what ``cis doctor`` says of settings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.integration


@pytest.fixture
def file(cis: Any) -> Path:
    """The settings' file of this home; its folder is there."""
    cis.home.mkdir(parents=True, exist_ok=True)
    return cis.home / "config.toml"


def listed(done: Any) -> dict[str, list[str]]:
    """Name, value and source of each line."""
    lines = [
        [cell.strip() for cell in line.split("   ") if cell.strip()] for line in done.stdout.splitlines()
    ]
    return {line[0]: line[1:3] for line in lines[1:]}


def test_each_value_comes_with_its_source(cis: Any, file: Path) -> None:
    file.write_text("[worker]\nmax_concurrent_tasks = 7\n[limits.account]\nwork = 2\n")
    done = cis("config", "list", CIS_DAG_LOCAL_MAX_WORKERS="3", CIS_LIMITS_RUNTIME_CLAUDE="1")
    assert (done.returncode, done.stderr) == (0, "")
    found = listed(done)
    assert found["worker.max_concurrent_tasks"] == ["7", str(file)]
    assert found["limits.account.work"] == ["2", str(file)]
    assert found["dag.local.max_workers"] == ["3", "$CIS_DAG_LOCAL_MAX_WORKERS"]
    assert found["limits.runtime.claude"] == ["1", "$CIS_LIMITS_RUNTIME_CLAUDE"]
    assert found["node.lease"] == ["3600.0", "default"]


def test_a_password_is_shown_to_nobody(cis: Any, file: Path) -> None:
    file.write_text('[airflow]\npassword = "very-secret"\ntoken = ["very-secret"]\n')
    for words in (["list"], ["list", "--json"], ["get", "airflow.password"], ["get", "airflow.token"]):
        done = cis("config", *words)
        assert "very-secret" not in done.stdout + done.stderr
    assert cis("config", "get", "airflow.password").stdout == "***\n"
    assert "very-secret" not in cis("doctor").stdout


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[worker]\nmax_concurent_tasks = 3", 'did you mean "worker.max_concurrent_tasks"?'),
        ("[workers]\nidle_exit = 3", 'did you mean "worker.idle_exit"?'),
        ("[worker]\nmax_concurrent_tasks = 1.5", "is no whole number; without it, it is 4"),
        ("[worker]\nmax_concurrent_tasks = 0", "must be above zero; without it, it is 4"),
        ("[worker]\nscope_isolation = 'team'", "none of project, user, dag_type, global"),
        ("[worker]\nscope_prefixes = ['proj-']", "no KIND=PREFIX"),
        ("[limits.runtime]\nclaude = 'few'", "limits.runtime.claude = 'few' is no whole number"),
        ("worker = 3", "must be a table"),
    ],
)
def test_what_cannot_work_is_said_with_file_and_way_out(cis: Any, file: Path, text: str, words: str) -> None:
    file.write_text(text)
    done = cis("config", "list")
    assert done.returncode == 1
    assert words in done.stderr
    assert str(file) in done.stderr
    examined = cis("doctor")
    assert examined.returncode == 1
    assert "fail  settings" in examined.stdout


def test_a_misspelt_variable_is_found(cis: Any) -> None:
    done = cis("config", "list", CIS_NODE_LEESE="4")
    assert done.returncode == 1
    assert '$CIS_NODE_LEESE: there is no such setting; did you mean "CIS_NODE_LEASE"?' in done.stderr


def test_a_file_that_is_no_toml_is_one_error(cis: Any, file: Path) -> None:
    file.write_text("[worker")
    done = cis("config", "list")
    assert done.returncode == 2
    assert f"{file}: no TOML" in done.stderr
    assert done.stderr.count("\n") == 1


def test_one_value_for_scripts(cis: Any) -> None:
    assert cis("config", "get", "worker.max_per_node").stdout == "32\n"
    wrong = cis("config", "get", "worker.max_per_nod")
    assert wrong.returncode == 2
    assert 'did you mean "worker.max_per_node"?' in wrong.stderr


def test_json_has_the_same(cis: Any) -> None:
    found = cis.json("config", "list")
    by_name = {line["name"]: line for line in found["settings"]}
    assert found["mistakes"] == []
    assert by_name["worker.scope_suffixes"]["value"][0] == "-nightly"
    assert by_name["node.lease"] == {
        "name": "node.lease",
        "value": 3600.0,
        "source": "default",
        "variable": "CIS_NODE_LEASE",
        "meaning": by_name["node.lease"]["meaning"],
        "problem": "",
    }
