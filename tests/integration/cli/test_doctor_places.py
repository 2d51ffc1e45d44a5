"""``cis doctor``: places in the triggerer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.integration


def _places(cis: Any, **changes: str) -> list[tuple[str, str, str]]:
    import json

    done = cis("doctor", "--json", **changes)
    return [
        (check["state"], check["found"], check["remedy"])
        for check in json.loads(done.stdout)
        if check["name"] == "trigger places"
    ]


WARNING = (
    "warn",
    "wide: a run can have 4 tasks in the triggerer at once, agents and the tasks that ask for them, "
    "and one triggerer has 3 places: it may stand still",
    "set [triggerer] capacity to 4 or more, or start more triggerers",
)


def test_too_few_places_for_a_file_of_the_embedded_airflow(cis: Any, cis_home: Path) -> None:
    (cis_home / "dags").mkdir(parents=True)
    agents = "".join(f"  - {{id: {name}, type: claude, prompt: x}}\n" for name in "ab")
    (cis_home / "dags" / "wide.yaml").write_text(f"name: wide\nagents:\n{agents}")
    assert _places(cis) == [("ok", "1000 (default)", "")]
    (cis_home / "airflow").mkdir()
    (cis_home / "airflow" / "airflow.cfg").write_text("[triggerer]\ncapacity = 3\n")
    assert _places(cis) == [WARNING]
    # Variables are for other Airflows: the embedded one is started without them.
    assert _places(cis, AIRFLOW__TRIGGERER__CAPACITY="9") == [WARNING]


def test_too_few_places_in_an_airflow_of_ones_own(cis: Any, airflow: Any) -> None:
    airflow.add_dag("wide", "a", "b")
    airflow.tasks["wide"][0]["downstream_task_ids"] = []
    airflow.add_dag("no-agents", *"abcdef")
    for task in airflow.tasks["no-agents"]:
        task |= {"downstream_task_ids": [], "class_ref": {"class_name": "BashOperator"}}
    assert _places(cis, AIRFLOW__TRIGGERER__CAPACITY="3") == [WARNING]
    assert _places(cis, AIRFLOW__TRIGGERER__CAPACITY="4")[0][0] == "ok"
    assert _places(cis) == [], "where its settings are not known, nothing is said"
