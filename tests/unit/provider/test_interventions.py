"""``interventions(dag)``: beside each agent that can be blocked, a task that asks."""

from __future__ import annotations

from datetime import timedelta

import pytest
from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.providers.standard.operators.python import BranchPythonOperator
from airflow.sdk import DAG, TaskGroup
from airflow.sdk.exceptions import AirflowSkipException
from airflow.serialization.serialized_objects import DagSerialization

from cis_provider.interventions import interventions
from cis_provider.model.on_blocked import OnBlocked
from cis_provider.model.options import AgentOptions
from cis_provider.operators.agent import AgentOperator
from cis_provider.sensors.blockage import BlockageSensor
from cis_provider.sensors.human import HumanSensor
from cis_provider.sensors.intervention import RETRIES, InterventionSensor

EVERYTHING = {
    "execution_timeout": timedelta(seconds=3),
    "pool": "agents",
    "retries": 0,
    "depends_on_past": True,
    "trigger_rule": "all_done",
    "outlets": [],
    "on_failure_callback": print,
    "max_active_tis_per_dag": 1,
}


def agent(task_id: str, agent_type: str = "claude", **given):
    return AgentOperator(task_id=task_id, agent_type=agent_type, prompt="x", **given)


def test_it_stands_beside_its_agent_and_shares_what_comes_before_it() -> None:
    with DAG("d", schedule=None) as dag:
        first, second = agent("first"), agent("second", trigger_rule="all_done", queue="node-a")
        first >> second
        added = interventions(dag)
    assert [task.task_id for task in added] == ["interventions.first", "interventions.second"]
    sensor = dag.get_task("interventions.second")
    assert sensor.upstream_task_ids == {"first"}
    assert (sensor.trigger_rule, sensor.queue, sensor.agent) == ("all_done", "node-a", "second")
    assert dag.get_task("first").downstream_task_ids == {"second", "interventions.second"}
    assert second.downstream_task_ids == set(), "who comes after the agent waits for the agent alone"


def test_it_may_be_called_again_and_adds_what_is_missing() -> None:
    with DAG("d", schedule=None) as dag:
        agent("first")
        interventions(dag)
        agent("second")
    assert [task.task_id for task in interventions(dag)] == ["interventions.second"]
    assert interventions(dag) == []
    assert set(dag.task_group.children) == {"first", "second", "interventions"}


def test_default_args_do_not_reach_it() -> None:
    with DAG("d", schedule=None, default_args=EVERYTHING) as dag:
        agent("a", trigger_rule="all_success")
        [sensor] = interventions(dag)
        page = BlockageSensor(task_id="page", agent="a")
        human = HumanSensor(task_id="human", question="?")
    for task in (sensor, page, human):
        assert task.execution_timeout is None
        assert task.pool == "default_pool"
        assert task.depends_on_past is False
        assert not task.on_failure_callback
        assert task.max_active_tis_per_dag is None
    assert sensor.retries == RETRIES
    assert sensor.trigger_rule == "all_success"


def test_who_cannot_be_blocked_has_none_unless_it_says_so() -> None:
    with DAG("d", schedule=None) as dag:
        agent("plain", "shell")
        agent("default", "shell", options=AgentOptions())
        agent("said", "shell", options=AgentOptions(on_blocked=OnBlocked(approvers=("ann",))))
        EmptyOperator(task_id="other")
        [sensor] = interventions(dag)
    assert sensor.agent == "said"
    assert sensor.approvers == ["ann"]


def test_a_mapped_agent_and_one_in_a_group_have_one_each() -> None:
    with DAG("d", schedule=None) as dag:
        AgentOperator.partial(
            task_id="many", agent_type="codex", options={"on_blocked": {"answer_timeout": 60}}
        ).expand(prompt=["a", "b"])
        with TaskGroup("group"):
            agent("inner")
            added = interventions(dag)
    assert [task.task_id for task in added] == ["interventions.many", "interventions.group.inner"]
    assert added[0].answer_timeout == 60
    assert added[1].agent == "group.inner"


def test_behind_a_branch_it_hangs_on_what_comes_before_the_branch() -> None:
    with DAG("d", schedule=None) as dag:
        start = EmptyOperator(task_id="start")
        branch = BranchPythonOperator(task_id="branch", python_callable=lambda: "a")
        start >> branch >> [agent("a"), agent("b")]
        interventions(dag)
    assert dag.get_task("interventions.a").upstream_task_ids == {"start"}


def test_behind_a_branch_the_rule_of_its_agent_does_not_skip_it() -> None:
    with DAG("d", schedule=None) as dag:
        start = EmptyOperator(task_id="start")
        branch = BranchPythonOperator(task_id="branch", python_callable=lambda: "a")
        mends = agent("mends", trigger_rule="one_failed")
        start >> branch >> [agent("a"), mends]
        start >> agent("cleans", trigger_rule="one_failed")
        interventions(dag)
    rules = {name: dag.get_task(f"interventions.{name}").trigger_rule for name in ("a", "mends", "cleans")}
    assert rules == {"a": "all_success", "mends": "all_done", "cleans": "one_failed"}


def test_it_starts_in_the_triggerer_and_a_test_run_skips_it() -> None:
    with DAG("d", schedule=None) as dag:
        agent("a")
        [sensor] = interventions(dag)
        page = BlockageSensor(task_id="page", agent="a", kinds=["login"])
    for task in (sensor, page):
        with pytest.raises(AirflowSkipException):
            task.execute({})
    restored = DagSerialization.from_dict(DagSerialization.to_dict(dag))
    for task_id in ("interventions.a", "page"):
        assert restored.get_task(task_id).start_from_trigger is True


def test_words_that_mean_nothing_are_refused() -> None:
    with pytest.raises(ValueError, match="must be one of remind, escalate, deny, fail"):
        InterventionSensor(task_id="i", agent="a", after_timeout="approve")
    with pytest.raises(ValueError, match="'coffee' is none of permission"):
        BlockageSensor(task_id="i", agent="a", kinds=["coffee"])
    with pytest.raises(ValueError, match="one or more, each once"):
        HumanSensor(task_id="i", question="?", options=[])
