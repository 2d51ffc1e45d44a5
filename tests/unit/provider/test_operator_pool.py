"""Which pool an agent has that is written in Python."""

from __future__ import annotations

from typing import Any

import pytest
from airflow.sdk import DAG

from cis_provider.errors import ConfigError
from cis_provider.operators.agent import AgentOperator
from cis_provider.pools import ScopedPool


def agent(default_args: dict[str, Any] | None = None, **given: Any) -> AgentOperator:
    with DAG("d", default_args=default_args or {}):
        return AgentOperator(task_id="a", agent_type="shell", prompt="true", **given)


def test_an_agent_of_a_scope_is_in_its_pool():
    assert agent(scope="project:a").pool == "cis-project-a"
    assert agent().pool == agent(scope="project:{{ params.p }}").pool == "default_pool"


def test_a_pool_that_is_given_wins_and_brings_its_number():
    pool = ScopedPool("project:other", slots=2)
    assert (agent(scope="project:a", pool=pool).pool, agent(pool=pool).pool_size) == ("cis-project-other", 2)
    common = agent({"pool": pool}, scope="project:a")
    assert (common.pool, common.pool_size) == ("cis-project-other", 2)


@pytest.mark.parametrize("given", [{"scope": "projct:a"}, {"scope": "project:../a"}, {"exclusive": "maybe"}])
def test_what_cannot_be_is_refused_when_the_dag_is_written(given):
    with pytest.raises(ConfigError):
        agent(**given)
