"""Plans as real DAGs: what Airflow makes of them."""

from __future__ import annotations

from typing import Any

import pytest

pytestmark = pytest.mark.integration

#: A DAG file whose agents succeed, or fail where their prompt says so.
DAG_FILE = """
from airflow.sdk import BaseOperator
import dag_factory
import dag_factory.plan

class StandIn(BaseOperator):
    def __init__(self, *, prompt, pool_size=None, **arguments):
        known = ("task_id", "dag", "trigger_rule", "retries", "priority_weight", "weight_rule")
        super().__init__(**{name: arguments[name] for name in known})
        self.prompt = prompt
    def execute(self, context):
        if self.prompt == "fail":
            raise RuntimeError("asked to")

dag_factory.plan.AGENT_OPERATOR = "run_me.StandIn"
failing = dag_factory.build(FAILING, name="failing")
good = dag_factory.build(GOOD, name="good")
"""

RUN = """
import json, sys
sys.path.insert(0, FOLDER)
import run_me
ends = []
for dag in (run_me.failing, run_me.good):
    run = dag.test()
    ends.append([run.state, {ti.task_id: ti.state for ti in run.get_task_instances()}])
print(json.dumps(ends))
"""


def _agents(*, fails: bool) -> list[dict[str, Any]]:
    return [
        {"id": "work", "type": "shell", "prompt": "fail" if fails else "x"},
        {"id": "after", "type": "shell", "prompt": "x", "deps": ["work"]},
        {"id": "repair", "type": "shell", "prompt": "x", "deps": ["work"], "when": "failure"},
        {"id": "notify", "type": "shell", "prompt": "x", "deps": ["after"], "when": "always"},
    ]


def test_a_run_fails_exactly_when_an_agent_did_whatever_ran_after_it(airflow: Any) -> None:
    text = DAG_FILE.replace("FAILING", repr(_agents(fails=True))).replace("GOOD", repr(_agents(fails=False)))
    (airflow.dags / "run_me.py").write_text(text)
    failing, good = airflow.python(RUN.replace("FOLDER", repr(str(airflow.dags))))
    assert failing == [
        "failed",
        {
            "work": "failed",
            "after": "upstream_failed",
            "repair": "success",
            "notify": "success",
            "run-outcome": "failed",
        },
    ]
    assert good == [
        "success",
        {
            "work": "success",
            "after": "success",
            "repair": "skipped",
            "notify": "success",
            "run-outcome": "skipped",
        },
    ]


#: Serialises as the dag processor does, and reads it as the scheduler does.
ROUND_TRIP = """
import json, datetime
import dag_factory
from airflow.serialization.serialized_objects import DagSerialization

now = datetime.datetime.now(datetime.timezone.utc)

def seen(spec):
    dag = dag_factory.build(spec, name="d")
    dag.validate()
    back = DagSerialization.from_dict(json.loads(json.dumps(DagSerialization.to_dict(dag))))
    info = back.next_dagrun_info(last_automated_run_info=None) if back.timetable.can_be_scheduled else None
    return {
        "seconds_to_next": (info.run_after - now).total_seconds() if info else None,
        "next": str(info.run_after.in_timezone("Asia/Shanghai")) if info else None,
        "params": back.params.dump(),
        "schemas": {name: back.params.get_param(name).schema for name in back.params},
        "tags": sorted(back.tags),
        "doc": back.doc_md,
        "description": back.description,
        "active": [back.max_active_runs, back.max_active_tasks],
        "pools": sorted({task.pool for task in back.tasks}),
        "places": [[task.pool, task.pool_size, task.queue] for task in back.tasks],
        "catchup": back.catchup,
    }

print(json.dumps({name: seen(spec) for name, spec in SPECS.items()}))
"""

AGENTS = [{"id": "分析", "type": "shell", "prompt": "x"}]
YEARLY = {"agents": AGENTS, "schedule": "0 3 1 1 *", "timezone": "Asia/Shanghai"}

SPECS = {
    "everything": {
        "agents": AGENTS,
        "description": "Nightly.\nSee README.md",
        "tags": ["x"],
        "max_active_runs": 3,
        "max_workers": 200,
        "params": {
            "repo": {"type": "string", "minLength": 1, "description": "Which"},
            "n": 3,
            "l": [1],
            "o": None,
        },
    },
    "scoped": {
        "scope": "project:app",
        "exclusive": "agent",
        "agents": [
            {"id": "a", "type": "shell", "prompt": "x", "node": "gpu-1", "account": "work"},
            {"id": "b", "type": "shell", "prompt": "x", "scope": "user:{{ params.who }}"},
        ],
    },
    "yearly": YEARLY,
    "yearly since 2024": YEARLY | {"start_date": "2024-01-01"},
    "yearly from 2100": YEARLY | {"start_date": "2100-01-01"},
    "catchup": YEARLY | {"schedule": "@daily", "start_date": "2024-01-01", "catchup": True},
}


def test_dags_survive_airflows_database_and_are_scheduled_as_their_files_say(airflow: Any) -> None:
    seen = airflow.python(ROUND_TRIP.replace("SPECS", repr(SPECS)))
    assert seen["everything"] == {
        "seconds_to_next": None,
        "next": None,
        "params": {"repo": None, "n": 3, "l": [1], "o": None},
        "schemas": {"repo": {"type": "string", "minLength": 1}, "n": {}, "l": {}, "o": {}},
        "tags": ["cis", "x"],
        "doc": "Nightly.\nSee README.md\n",
        "description": "Nightly.",
        "active": [3, 200],
        "pools": ["cis-dag-d"],
        "places": [["cis-dag-d", 200, "default"]],
        "catchup": False,
    }
    assert seen["scoped"]["places"] == [["cis-project-app", 1, "gpu-1"], ["cis-dag-d", 4, "default"]]
    # Switched on, a DAG waits for its next time; a time that was missed before is not made up for.
    for name in ("yearly", "yearly since 2024"):
        assert seen[name]["seconds_to_next"] > 0, name
        assert seen[name]["next"].endswith("-01-01 03:00:00+08:00")
    assert seen["yearly from 2100"]["next"] == "2100-01-01 03:00:00+08:00"
    assert seen["catchup"]["next"] == "2024-01-01 00:00:00+08:00"
    assert seen["catchup"]["catchup"] is True


ASKED_FILE = """
import dag_factory

AGENTS = [
    {"id": "a", "type": "claude", "prompt": "x"},
    {"id": "ok", "type": "human", "prompt": "Good?", "deps": ["a"], "answer_timeout": "1h"},
    {"id": "b.c", "type": "claude", "prompt": "x", "deps": ["ok"], "when": "always", "node": "far"},
    {"id": "s", "type": "shell", "prompt": "x", "deps": ["b.c"]},
]
asked = dag_factory.build(AGENTS, name="asked")
"""

DESCRIBE = """
import json, sys
sys.path.insert(0, FOLDER)
from airflow.serialization.serialized_objects import DagSerialization
import asked_me
dag = DagSerialization.from_dict(DagSerialization.to_dict(asked_me.asked))
print(json.dumps({
    task.task_id: [task.task_type, sorted(task.upstream_task_ids), task.trigger_rule, task.pool, task.queue,
                   bool(getattr(task, "start_from_trigger", False))]
    for task in dag.tasks
} | {"groups": sorted(dag.task_group_dict)}))
"""


def test_tasks_that_ask_stand_beside_their_agents_in_a_group_and_in_no_pool_of_theirs(airflow: Any) -> None:
    (airflow.dags / "asked_me.py").write_text(ASKED_FILE)
    found = airflow.python(DESCRIBE.replace("FOLDER", repr(str(airflow.dags))))
    assert found.pop("groups") == ["interventions"]
    assert found.pop("run-outcome")[1] == ["a", "b.c", "ok", "s"]
    pool = "cis-dag-asked"
    assert found == {
        "a": ["AgentOperator", [], "all_success", pool, "default", False],
        "ok": ["HumanSensor", ["a"], "all_success", "default_pool", "default", False],
        "b.c": ["AgentOperator", ["ok"], "all_done", pool, "far", False],
        "s": ["AgentOperator", ["b.c"], "all_success", pool, "default", False],
        "interventions.a": ["InterventionSensor", [], "all_success", "default_pool", "default", True],
        "interventions.b.c": ["InterventionSensor", ["ok"], "all_done", "default_pool", "far", True],
    }
