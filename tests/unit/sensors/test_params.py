"""A DAG's params beside tasks that a triggerer starts: what it cannot resolve ends it, for every DAG there is."""

from __future__ import annotations

import pytest
from airflow.sdk import DAG, Param
from airflow.sdk.definitions.param import process_params
from airflow.serialization.serialized_objects import DagSerialization

from cis_provider.interventions import interventions
from cis_provider.operators.agent import AgentOperator
from cis_provider.sensors.blockage import BlockageSensor


@pytest.fixture(scope="module")
def in_the_triggerer():
    """The DAG as a triggerer has it."""
    params = {
        "repo": Param(type="string"),
        "pins": Param(3, type="integer"),
        "how": Param("x", enum=["x", "y"]),
    }
    with DAG("d", schedule=None, params=params) as dag:
        AgentOperator(task_id="a", agent_type="claude", prompt="x")
        interventions(dag)
        BlockageSensor(task_id="blocked", agent="a")
    return DagSerialization.from_dict(DagSerialization.to_dict(dag))


@pytest.mark.parametrize("task_id", ["interventions.a", "blocked"])
@pytest.mark.parametrize(
    ("conf", "repo", "how"),
    [
        ({"repo": "/x", "how": "y"}, "/x", "y"),
        ({}, None, "x"),  # of a run that began before the DAG had the param
    ],
)
def test_params_without_a_default_are_resolved(in_the_triggerer, task_id, conf, repo, how) -> None:
    task = in_the_triggerer.get_task(task_id)
    found = process_params(in_the_triggerer, task, conf, suppress_exception=False)
    assert found == {"repo": repo, "pins": 3, "how": how}
