"""Requests that the dag processor would load every CIS file for, and then do nothing."""

from __future__ import annotations

import json
from types import SimpleNamespace
from uuid import uuid4

import pytest

pytestmark = pytest.mark.integration


def requests_left(operator: str, kind: str) -> int:
    """What a session would still write after an agent's task has ended in it."""
    from airflow.models import import_all_models
    from airflow.models.callback import DagProcessorCallback
    from airflow.models.taskinstance import TaskInstance
    from sqlalchemy.orm import Session, configure_mappers, make_transient_to_detached

    from cis_provider.listeners.callbacks import drop_success_callbacks

    task_id = uuid4()
    request = {"ti": {"id": str(task_id)}, "task_callback_type": kind}
    import_all_models()
    configure_mappers()
    task = TaskInstance.__mapper__.class_manager.new_instance()
    task.id, task.operator = task_id, operator
    callback = DagProcessorCallback(1, TaskCallbackRequest(json.dumps(request)))
    with Session() as session:
        make_transient_to_detached(task)
        session.add(task)
        session.add(callback)
        drop_success_callbacks(session)
        return len(session.new)


class TaskCallbackRequest(SimpleNamespace):
    """As much of Airflow's request as its row is made of."""

    def __init__(self, text: str) -> None:
        super().__init__(bundle_name="dags-folder", to_json=lambda: text)


def test_an_agent_that_succeeds_has_no_callback_for_the_dag_processor():
    assert requests_left("AgentOperator", "success") == 0
    assert requests_left("_AgentDecoratedOperator", "success") == 0


@pytest.mark.parametrize("kind", ["failed", "up_for_retry"])
def test_failure_callbacks_of_agents_are_kept(kind):
    assert requests_left("AgentOperator", kind) == 1


def test_callbacks_of_other_operators_are_kept():
    assert requests_left("SomeSensor", "success") == 1
