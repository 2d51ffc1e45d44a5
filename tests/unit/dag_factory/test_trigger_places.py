"""A triggerer with too few places for a DAG."""

from __future__ import annotations

from pathlib import Path

import pytest

from dag_factory.diagnostics import render
from dag_factory.lint import lint_paths
from dag_factory.trigger_places import configured


@pytest.fixture(autouse=True)
def no_airflow(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AIRFLOW_HOME", "AIRFLOW_CONFIG", "AIRFLOW__TRIGGERER__CAPACITY"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def five(tmp_path: Path) -> Path:
    """One agent, then three beside each other, then one."""
    file = tmp_path / "five.yaml"
    file.write_text(
        "name: five\nagents:\n"
        "  - {id: a, type: claude, prompt: x}\n"
        + "".join(f"  - {{id: {name}, type: claude, prompt: x, deps: [a]}}\n" for name in "bcd")
        + "  - {id: e, type: claude, prompt: x, deps: [b, c, d]}\n"
    )
    return file


def test_a_triggerer_with_too_few_places_is_a_warning_that_names_the_number(
    five: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW__TRIGGERER__CAPACITY", "5")
    (found,) = lint_paths([five])
    assert found.is_warning
    assert str(found) == (
        f"{five}:1:7: W201 a run can have 6 tasks in the triggerer at once, agents and the tasks that ask for them, "
        "and one triggerer has 5 places: it may stand still "
        "(set [triggerer] capacity to 6 or more, or start more triggerers)"
    )
    assert render([found], "github").startswith("::warning ")


@pytest.mark.parametrize("places", ["6", "1000"])
def test_enough_places_are_no_warning(five: Path, monkeypatch: pytest.MonkeyPatch, places: str) -> None:
    monkeypatch.setenv("AIRFLOW__TRIGGERER__CAPACITY", places)
    assert lint_paths([five.parent]) == []


def test_places_are_read_where_airflow_reads_them(tmp_path: Path, no_settings: Path) -> None:
    assert configured({}) == (1000, "default")
    for home, env in (
        (no_settings.parent / "airflow", {}),
        (tmp_path / "other", {"AIRFLOW_HOME": str(tmp_path / "other")}),
    ):
        home.mkdir(parents=True)
        (home / "airflow.cfg").write_text("[core]\nx = %y\n[triggerer]\ncapacity = 7\n")
        assert configured(env) == (7, str(home / "airflow.cfg"))
        variable = {"AIRFLOW__TRIGGERER__CAPACITY": "9"}
        assert configured(env | variable) == (9, "$AIRFLOW__TRIGGERER__CAPACITY")


def test_a_file_that_cannot_be_read_says_nothing(tmp_path: Path) -> None:
    (tmp_path / "airflow.cfg").write_text("no section = 1\n")
    assert configured({"AIRFLOW_HOME": str(tmp_path)}) == (1000, "default")
