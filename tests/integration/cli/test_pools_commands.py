"""``cis pools`` against an Airflow that answers from memory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from cis_provider.pools import PoolSpec, dag_pool

pytestmark = pytest.mark.integration

SCOPED = """
name: nightly
scope: project:p
agents:
  - {id: a, type: shell, command: "true"}
"""


@pytest.fixture
def nightly(cis: Any) -> Path:
    """A CIS file in the folder that Airflow reads; its agents are in the pool of a project."""
    file: Path = cis.home / "dags" / "nightly.yaml"
    file.parent.mkdir(parents=True)
    file.write_text(SCOPED)
    return file


def add(airflow: Any, spec: PoolSpec, **changes: Any) -> None:
    """A pool as we would have made it."""
    airflow.pools[spec.name] = {
        "name": spec.name,
        "slots": spec.slots,
        "description": spec.description,
        "include_deferred": True,
        **changes,
    }


def slots(airflow: Any) -> dict[str, int]:
    return {name: pool["slots"] for name, pool in airflow.pools.items()}


def done(cis: Any, *words: str) -> list[tuple[str, str, int]]:
    return [(one["name"], one["action"], one["slots"]) for one in cis.json("pools", *words)]


# --- list -----------------------------------------------------------------------------------------------


def test_list_shows_whose_a_pool_is_and_which_number_a_human_changed(cis: Any, airflow: Any) -> None:
    add(airflow, dag_pool("nightly", 3), running_slots=1, deferred_slots=1, scheduled_slots=2, open_slots=1)
    add(airflow, PoolSpec("cis-project-p", 4), slots=9, open_slots=9)
    airflow.pools["default_pool"] = {"name": "default_pool", "slots": 128, "include_deferred": False}
    assert cis("pools", "list").stdout.splitlines() == [
        "POOL              FOR           SLOTS   SET   RUNNING   QUEUED   DEFERRED   WAITING   OPEN",
        "cis-dag-nightly   DAG nightly   3       3     1         0        1          2         1",
        "cis-project-p     project:p     9       4     0         0        0          0         9      CHANGED",
    ]
    (first, second) = cis.json("pools", "list")
    assert (first["set_by_cis"], first["changed"], first["asked_by"]) == (3, False, "nightly")
    assert (second["set_by_cis"], second["changed"], second["asked_by"]) == (4, True, "")


def test_list_of_no_pools_says_what_makes_them(cis: Any, airflow: Any) -> None:
    shown = cis("pools", "list")
    assert (shown.returncode, shown.stdout) == (0, "")
    assert "cis pools sync" in shown.stderr


def test_without_an_airflow_there_is_a_way_out(cis: Any) -> None:
    shown = cis("pools", "list")
    assert shown.returncode == 3
    assert "cis airflow start" in shown.stderr


# --- sync -----------------------------------------------------------------------------------------------


def test_sync_makes_the_pools_of_the_dags_folder_once(cis: Any, airflow: Any, nightly: Path) -> None:
    assert done(cis, "sync") == [("cis-project-p", "made", 4)]
    assert airflow.pools["cis-project-p"]["include_deferred"] is True
    assert done(cis, "sync") == [("cis-project-p", "unchanged", 4)]


def test_sync_follows_the_setting_but_no_humans_number(cis: Any, airflow: Any, nightly: Path) -> None:
    add(airflow, PoolSpec("cis-project-p", 7))
    assert done(cis, "sync", str(nightly)) == [("cis-project-p", "changed", 4)]
    airflow.pools["cis-project-p"]["slots"] = 9
    assert done(cis, "sync", str(nightly)) == [("cis-project-p", "kept", 9)]
    assert slots(airflow) == {"cis-project-p": 9}


def test_another_dags_smaller_number_stays_as_long_as_there_is_that_dag(
    cis: Any, airflow: Any, nightly: Path
) -> None:
    airflow.add_dag("careful", "a")
    add(airflow, PoolSpec("cis-project-p", 1, "careful", explicit=True))
    assert done(cis, "sync") == [("cis-project-p", "kept", 1)]
    del airflow.dags["careful"]
    assert done(cis, "sync") == [("cis-project-p", "changed", 4)]


def test_what_a_dag_said_once_does_not_bind_it(cis: Any, airflow: Any, nightly: Path) -> None:
    airflow.add_dag("nightly", "a")
    add(airflow, PoolSpec("cis-project-p", 1, "nightly", explicit=True))
    assert done(cis, "sync") == [("cis-project-p", "changed", 4)]


def test_a_python_file_says_the_number_of_any_operators_pool(cis: Any, airflow: Any, tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text("""
from airflow.providers.standard.operators.bash import BashOperator
from airflow.sdk import dag

from cis_provider.pools import ScopedPool

@dag(schedule=None)
def mine():
    BashOperator(task_id="a", bash_command="true", pool=ScopedPool("project:p", slots=2))

mine()
""")
    assert done(cis, "sync", str(file)) == [("cis-project-p", "made", 2)]


def test_a_file_with_mistakes_does_not_stop_the_others(cis: Any, airflow: Any, nightly: Path) -> None:
    nightly.with_name("bad.yaml").write_text("agents:\n  - {id: a, type: shel}\n")
    shown = cis("pools", "sync")
    assert shown.returncode == 1
    assert "bad.yaml" in shown.stderr
    assert slots(airflow) == {"cis-project-p": 4}


def test_sync_of_a_file_that_is_not_there(cis: Any, airflow: Any) -> None:
    shown = cis("pools", "sync", "nowhere.yaml")
    assert shown.returncode == 2
    assert "nowhere.yaml" in shown.stderr


def test_a_user_without_the_right_is_told_which(cis: Any, airflow: Any, nightly: Path) -> None:
    airflow.post_pool = lambda **_: (403, {"detail": "Forbidden"})
    shown = cis("pools", "sync")
    assert shown.returncode == 1
    assert "no right to POST /api/v2/pools" in shown.stderr
    assert shown.stderr.count("\n") == 1


# --- prune ----------------------------------------------------------------------------------------------


@pytest.fixture
def crowded(airflow: Any) -> Any:
    """A pool of each fate."""
    airflow.add_dag("lives", "a")
    airflow.tasks["lives"][0]["pool"] = "cis-project-named"
    add(airflow, PoolSpec("cis-project-named", 4))
    add(airflow, dag_pool("gone", 3))
    add(airflow, PoolSpec("cis-user-busy", 4), scheduled_slots=1)
    add(airflow, PoolSpec("cis-type-human", 4), slots=5)
    airflow.pools["mine"] = {"name": "mine", "slots": 1, "description": "", "include_deferred": False}
    return airflow


def test_prune_removes_what_nobody_names_and_nothing_is_in(cis: Any, crowded: Any) -> None:
    assert done(cis, "prune") == [
        ("cis-dag-gone", "removed", 3),
        ("cis-project-named", "kept", 4),
        ("cis-type-human", "kept", 5),
        ("cis-user-busy", "kept", 4),
    ]
    assert set(crowded.pools) == {"cis-project-named", "cis-type-human", "cis-user-busy", "mine"}


def test_a_dry_run_removes_nothing(cis: Any, crowded: Any) -> None:
    before = dict(crowded.pools)
    shown = cis("pools", "prune", "--dry-run")
    assert "removed" in shown.stdout
    assert "nothing was done" in shown.stderr
    assert crowded.pools == before
    assert not [request for request in crowded.requests if request.startswith("DELETE")]


def test_a_humans_number_goes_only_with_all(cis: Any, crowded: Any) -> None:
    cis.json("pools", "prune", "--all")
    assert set(crowded.pools) == {"cis-project-named", "cis-user-busy", "mine"}
