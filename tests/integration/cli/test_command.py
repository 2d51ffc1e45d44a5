"""The command itself: what it loads, how it fails, what it exits with."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.integration

HEAVY = ("airflow", "sqlalchemy", "httpx", "rich", "asyncio", "pydantic")
#: Typer checks options with pydantic as soon as a command has any.
HEAVY_BELOW = HEAVY[:-1]


@pytest.mark.parametrize(
    ("words", "heavy"),
    [
        ("--help", HEAVY),
        ("dag --help", HEAVY_BELOW),
        ("dag up --help", HEAVY_BELOW),
        ("worker --help", HEAVY_BELOW),
    ],
)
def test_help_loads_nothing_heavy(words: str, heavy: tuple[str, ...]) -> None:
    script = (
        "import sys; from cis_provider.cli.main import main; code = main(sys.argv[1:]); "
        f"print('LOADED', [name for name in {heavy!r} if name in sys.modules]); sys.exit(code)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, *words.split()], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert "Usage: cis" in done.stdout
    assert done.stdout.splitlines()[-1] == "LOADED []"


def test_every_group_and_command_has_help(cis: Any) -> None:
    for group in (
        ["dag"],
        ["dag", "worker"],
        ["airflow"],
        ["worker"],
        ["node"],
        ["lint"],
        ["schema"],
        ["doctor"],
    ):
        done = cis(*group, "--help")
        assert done.returncode == 0, done.stderr
        assert f"Usage: cis {' '.join(group)}" in done.stdout


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["dga"], "No such command 'dga'"),
        (["dag", "pss"], "No such command 'pss'"),
        (["dag", "up"], "Missing option '--file'"),
        (["dag", "up", "-f", "/nowhere.yaml"], "-f /nowhere.yaml: no such file"),
        (["dag", "up", "-f", "/nowhere.yaml", "--name", "a b"], "--name 'a b'"),
        (["dag", "ps", "--jsn"], "No such option: --jsn"),
        (["lint", "/nowhere"], "no such file: /nowhere"),
        (["worker", "run", "--id", "worker-project-x"], "worker-global"),
        (["airflow", "logs", "scheduler"], "no part 'scheduler'"),
    ],
)
def test_wrong_usage_is_one_line_and_exit_2(cis: Any, words: list[str], said: str) -> None:
    done = cis(*words)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert done.stderr.startswith("cis: ")


def test_without_airflow_is_exit_3_with_the_way_out(cis: Any) -> None:
    done = cis("dag", "ps")
    assert done.returncode == 3
    assert done.stderr == (
        "cis: Airflow does not run; `cis airflow start` starts it, and so does `cis dag up -f FILE`\n"
    )


def test_an_airflow_that_does_not_answer_is_exit_3_and_named(cis: Any) -> None:
    done = cis("dag", "ps", CIS_AIRFLOW_URL="http://127.0.0.1:1", CIS_AIRFLOW_TOKEN="x")
    assert done.returncode == 3
    assert "http://127.0.0.1:1" in done.stderr


def test_without_a_coordinator_is_exit_3(cis: Any) -> None:
    for words in (["worker", "list"], ["worker", "status"], ["dag", "worker", "list"], ["node", "status"]):
        done = cis(*words)
        assert done.returncode == 3, words
        assert "`cis node run`" in done.stderr


def test_a_login_that_is_missing_is_exit_2(cis: Any) -> None:
    done = cis("dag", "ps", CIS_AIRFLOW_URL="http://127.0.0.1:1")
    assert done.returncode == 2
    assert "CIS_AIRFLOW_TOKEN" in done.stderr


def test_a_reader_that_leaves_is_no_error(cis: Any) -> None:
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(
        [sys.executable, "-m", "cis_provider.cli.main", "schema"],
        env=cis.environment,
        stdout=write,
        stderr=subprocess.PIPE,
        text=True,
        timeout=60,
    )
    os.close(write)
    assert done.stderr == ""
    assert done.returncode == 141


def test_lint_lists_every_mistake_and_exits_with_1(cis: Any, tmp_path: Path) -> None:
    bad = tmp_path / "bad.yaml"
    bad.write_text("agents:\n  - {id: a, type: shel, prompt: x, deps: [b]}\n")
    done = cis("lint", str(bad))
    assert done.returncode == 1
    assert [line.partition(": ")[2][:4] for line in done.stdout.splitlines()] == ["F107", "F202"]
    assert done.stdout.startswith(f"{bad}:2:")
    assert [one["code"] for one in json.loads(cis("lint", "--json", str(bad)).stdout)] == ["F107", "F202"]
    assert cis("lint", "--format", "github", str(bad)).stdout.startswith("::error file=")


def test_lint_of_a_good_folder_exits_with_0(cis: Any, tmp_path: Path) -> None:
    (tmp_path / "good.yaml").write_text("agents:\n  - {id: a, type: shell, prompt: x}\n")
    done = cis("lint", str(tmp_path))
    assert (done.returncode, done.stdout) == (0, "")
    assert cis.json("lint", str(tmp_path)) == []


def test_schema_is_json(cis: Any) -> None:
    assert json.loads(cis("schema").stdout)["title"] == "CIS file"


def test_doctor_names_what_others_may_read(cis: Any) -> None:
    cis.home.mkdir(mode=0o700)
    secrets = cis.home / "env"
    secrets.write_text("TOKEN=x\n")
    secrets.chmod(0o644)
    done = cis("doctor")
    assert done.returncode == 1
    assert f"chmod 600 {secrets}" in done.stdout
    secrets.chmod(0o600)
    done = cis("doctor")
    assert done.returncode == 0, done.stdout
    states = {check["name"]: check["state"] for check in cis.json("doctor")}
    assert states["python"] == states["git"] == states["CIS_HOME"] == "ok"


def test_doctor_reports_a_broken_setting(cis: Any) -> None:
    cis.home.mkdir(mode=0o700)
    (cis.home / "config.toml").write_text("[dag.local]\nmax_workers = 'many'\n")
    done = cis("doctor")
    assert done.returncode == 1
    assert "max_workers" in done.stdout
