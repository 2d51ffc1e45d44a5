"""A task whose run waits behind one that is over, on a node without a triggerer."""

from __future__ import annotations

from typing import ClassVar
from unittest.mock import Mock

import pytest

from cis_provider.wire.messages import NotYet

pytestmark = pytest.mark.integration


class Node:
    """Another run has the scope, whatever is said: its last agent is still at work."""

    asked = 0
    released: ClassVar[list[tuple[str, str]]] = []

    def __init__(self, role):
        pass

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def submit(self, request):
        Node.asked += 1
        assert Node.asked < 10, "it asks again and again"
        return NotYet("its turn", [("d", "over")])

    def release_runs(self, runs):
        Node.released += runs


def test_it_lets_go_of_the_other_run_and_comes_again_later(monkeypatch):
    from airflow.sdk.exceptions import AirflowRescheduleException

    from cis_provider.operators import agent, turns

    monkeypatch.setattr(agent, "NodeClient", Node)
    monkeypatch.setattr(turns, "NodeClient", Node)
    monkeypatch.setattr(turns, "triggerer_serves_node", lambda: False)
    task = agent.AgentOperator(task_id="a", agent_type="shell", prompt="true")
    ti = Mock()
    ti.get_dagrun_state.return_value = "failed"
    with pytest.raises(AirflowRescheduleException):
        task._submit({"ti": ti}, Mock())
    assert (Node.released, Node.asked) == ([("d", "over")], 2)
