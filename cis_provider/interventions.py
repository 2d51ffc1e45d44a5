"""``interventions(dag)``: for DAGs written by hand, the tasks that ask humans for their agents."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from airflow.sdk import DAG, TaskGroup

from cis_provider.model.on_blocked import OnBlocked
from cis_provider.operators.agent import AgentOperator
from cis_provider.operators.options import plain, to_options
from cis_provider.sensors.intervention import InterventionSensor

#: The group that they are in, closed until somebody opens it. The same for CIS files.
GROUP = "interventions"

#: Types of agents that call nobody, unless they say ``on_blocked``.
CALL_NOBODY = frozenset({"shell", "skill", "matrix"})


def interventions(dag: DAG) -> list[InterventionSensor]:
    """
    Put a task that asks humans beside each agent that can be blocked: with its upstream, its trigger rule and its
    queue, in the group ``interventions``, in no agent's pool.

    Call it last, when the agents have their edges. Calling it again adds what is missing.

    :return: The tasks that were added.
    :raises PermanentAgentError: Options of an agent cannot be read.
    """
    agents = [task for task in dag.tasks if _can_be_blocked(task)]
    missing = [agent for agent in agents if f"{GROUP}.{agent.task_id}" not in dag.task_ids]
    if not missing:
        return []
    group = dag.task_group.children.get(GROUP)
    if group is None:
        group = TaskGroup(
            GROUP,
            dag=dag,
            parent_group=dag.task_group,
            tooltip="Asleep; asks humans what the agents want to know",
        )
    return [_beside(agent, dag, group) for agent in missing]


def _beside(agent: Any, dag: DAG, group: Any) -> InterventionSensor:
    rules = to_options(_plain(_field(agent, "options"))).on_blocked
    upstream = _upstream(agent)
    # The agent's rule is about its own upstream: after other tasks, it might skip this one for good.
    same = upstream == set(agent.upstream_task_ids) or agent.trigger_rule == "all_success"
    sensor = InterventionSensor(
        task_id=agent.task_id,
        dag=dag,
        task_group=group,
        agent=agent.task_id,
        trigger_rule=agent.trigger_rule if same else "all_done",
        queue=agent.queue,
        approvers=rules.approvers,
        escalate_to=rules.escalate_to,
        answer_timeout=rules.answer_timeout,
        after_timeout=rules.after_timeout,
    )
    if upstream:
        sensor.set_upstream([dag.get_task(task_id) for task_id in sorted(upstream)])
    return sensor


def _upstream(task: Any, seen: frozenset[str] = frozenset()) -> set[str]:
    """
    Ids of the tasks that it begins after. In the place of a task that chooses a branch, what comes before that:
    it would skip whatever it does not choose, and nobody can choose this one. Its agent is skipped, then so is it.
    """
    found: set[str] = set()
    for upstream in task.upstream_list:
        if upstream.task_id in seen:
            continue
        if getattr(upstream, "inherits_from_skipmixin", False):
            found |= _upstream(upstream, seen | {upstream.task_id})
        else:
            found.add(upstream.task_id)
    return found


def _can_be_blocked(task: Any) -> bool:
    kind = getattr(task, "operator_class", type(task))
    if not (isinstance(kind, type) and issubclass(kind, AgentOperator)):
        return False
    if _field(task, "agent_type") not in CALL_NOBODY:
        return True
    return to_options(_plain(_field(task, "options"))).on_blocked != OnBlocked()


def _field(task: Any, name: str) -> Any:
    given = getattr(task, "partial_kwargs", None)
    return given.get(name) if given is not None else getattr(task, name, None)


def _plain(options: Any) -> Mapping[str, Any]:
    found: Any = plain(options) if options is not None else {}
    return found if isinstance(found, Mapping) else {}
