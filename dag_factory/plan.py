"""
A spec as a plan: which tasks a DAG has, with which arguments and edges. Pure data, no Airflow.

``builder`` makes the DAG of it. Tests compare plans.
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from dag_factory.blocked_keys import CALL_NOBODY, HUMAN, INTERVENTIONS, asking
from dag_factory.checks import RUN_OUTCOME
from dag_factory.option_keys import plain_options
from dag_factory.scopes import pool_of
from dag_factory.spec import AgentSpec, DagSpec, FolderWorkspace, FromWorkspace, RepoWorkspace, resolve_agents
from dag_factory.timing import parse_start_date
from dag_factory.validate import Checked

AGENT_OPERATOR = "cis_provider.operators.agent.AgentOperator"
INTERVENTION_SENSOR = "cis_provider.sensors.intervention.InterventionSensor"
HUMAN_SENSOR = "cis_provider.sensors.human.HumanSensor"
OUTCOME_OPERATOR = "dag_factory.outcome.RunOutcomeOperator"

#: Airflow's trigger rule for each ``when:``.
TRIGGER_RULES = {"success": "all_success", "failure": "one_failed", "always": "all_done"}

#: Far apart, so that no number of tasks behind an agent counts for more than its priority.
PRIORITY_WEIGHTS = (1000, 100, 10, 1)


@dataclass(frozen=True)
class TaskPlan:
    """
    One task.

    :param operator: Dotted path of its class.
    :param arguments: For the class, besides task id and trigger rule.
    :param upstream: Ids of the tasks it waits for.
    :param group: Id of the task group that it is in, with which its own id begins; empty: none.
    """

    task_id: str
    operator: str
    arguments: dict[str, Any] = field(default_factory=dict)
    upstream: tuple[str, ...] = ()
    trigger_rule: str = "all_success"
    group: str = ""


@dataclass(frozen=True)
class DagPlan:
    """
    One DAG.

    :param start_date: Without an offset where the file says none; it is then in ``timezone``.
    :param timezone: ``None``: Airflow's default.
    :param params: Entries as the file has them.
    :param max_workers: Agents at work at once, over all its runs.
    """

    dag_id: str
    tasks: tuple[TaskPlan, ...]
    description: str = ""
    schedule: str | None = None
    start_date: datetime.datetime | None = None
    timezone: str | None = None
    catchup: bool = False
    tags: frozenset[str] = frozenset()
    params: dict[str, Any] = field(default_factory=dict)
    max_active_runs: int | None = None
    max_workers: int = 1


def make_plan(checked: Checked, *, base_folder: str = "") -> DagPlan:
    """
    The plan of what the validator has passed.

    :param base_folder: Folder to which relative repository paths belong.
    :raises InvalidSpec: The validator has found mistakes.
    """
    spec = checked.need()
    agents = resolve_agents(spec)
    places = _places(spec, agents, checked)
    tasks = [
        _human(agent, places[agent.id])
        if agent.type == HUMAN
        else TaskPlan(
            task_id=agent.id,
            operator=AGENT_OPERATOR,
            arguments=_arguments(agent, position, base_folder=base_folder) | places[agent.id],
            upstream=agent.deps,
            trigger_rule=TRIGGER_RULES[agent.when],
        )
        for position, agent in enumerate(agents, start=1)
    ]
    tasks += [_intervention(agent, places[agent.id]) for agent in agents if can_ask(agent)]
    if any(agent.when != "success" for agent in agents):
        tasks.append(_run_outcome(tuple(agent.id for agent in agents)))
    return DagPlan(
        dag_id=spec.name,
        tasks=tuple(tasks),
        description=spec.description,
        schedule=spec.schedule,
        start_date=parse_start_date(spec.start_date) if spec.start_date else None,
        timezone=spec.timezone,
        catchup=spec.catchup,
        tags=frozenset({*spec.tags, "cis"}),
        params=spec.params,
        max_active_runs=spec.max_active_runs,
        max_workers=spec.max_workers,
    )


def _places(spec: DagSpec, agents: Sequence[AgentSpec], checked: Checked) -> dict[str, dict[str, Any]]:
    """The arguments that say where an agent is at work and beside how many, by the agent's id."""
    rules, decisions = checked.rules, checked.scopes.decisions
    assert rules is not None, "no file without mistakes is judged without settings"
    places: dict[str, dict[str, Any]] = {}
    for agent in agents:
        node = agent.node or spec.node
        if agent.type == HUMAN:
            places[agent.id] = {"queue": node} if node else {}
            continue
        scope = decisions[agent.id].scope
        pool, slots = pool_of(scope, spec.exclusive, rules, dag_id=spec.name, max_workers=spec.max_workers)
        # A task that is lost gives its slot back while its agent goes on, and another pool's agents are not
        # counted in this one: the coordinator counts as well.
        places[agent.id] = {
            "pool": pool,
            "pool_size": slots,
            "scope": scope,
            "max_workers": spec.max_workers,
        }
        if spec.exclusive is not None:
            places[agent.id]["exclusive"] = spec.exclusive
        if node:
            places[agent.id]["queue"] = node
    return places


def can_ask(agent: AgentSpec) -> bool:
    """Whether a task beside an agent asks humans for it. A step of type human asks by itself."""
    return agent.type != HUMAN and (agent.type not in CALL_NOBODY or agent.on_blocked is not None)


def _intervention(agent: AgentSpec, place: Mapping[str, Any]) -> TaskPlan:
    """
    The task that asks for an agent. It begins and is skipped with it, so it has the same upstream and rule.

    Not in the agent's pool, whose only slot it might take.
    """
    arguments = {"agent": agent.id, **asking(agent)}
    if "queue" in place:
        arguments["queue"] = place["queue"]
    return TaskPlan(
        task_id=f"{INTERVENTIONS}.{agent.id}",
        operator=INTERVENTION_SENSOR,
        arguments=arguments,
        upstream=agent.deps,
        trigger_rule=TRIGGER_RULES[agent.when],
        group=INTERVENTIONS,
    )


def _human(agent: AgentSpec, place: Mapping[str, Any]) -> TaskPlan:
    """A step where a human decides."""
    arguments: dict[str, Any] = {"question": agent.prompt, **asking(agent), **place}
    if agent.options:
        arguments["options"] = agent.options
    if agent.free_text:
        arguments["free_text"] = True
    if agent.description:
        arguments["doc_md"] = agent.description + "\n"
    return TaskPlan(
        task_id=agent.id,
        operator=HUMAN_SENSOR,
        arguments=arguments,
        upstream=agent.deps,
        trigger_rule=TRIGGER_RULES[agent.when],
    )


def _arguments(agent: AgentSpec, position: int, *, base_folder: str) -> dict[str, Any]:
    priority = int(agent.priority[1:])
    arguments: dict[str, Any] = {
        "agent_type": agent.type,
        "prompt": agent.prompt,
        "inputs": agent.deps,
        "position": position,
        "priority": priority,
        "priority_weight": PRIORITY_WEIGHTS[priority],
        "weight_rule": "absolute",
        "retries": agent.retries,
    }
    if agent.workspace is not None:
        arguments["workspace"] = _workspace(agent.workspace)
    if base_folder:
        arguments["base_folder"] = base_folder
    if agent.env:
        arguments["env"] = dict(agent.env)
    if agent.timeout is not None:
        arguments["timeout"] = agent.timeout
    if agent.retry_delay is not None:
        arguments["retry_delay"] = datetime.timedelta(seconds=agent.retry_delay)
    if agent.rollback:
        arguments["rollback"] = True
    if agent.account:
        arguments["account"] = agent.account
    if agent.connection:
        arguments["agent_conn_id"] = agent.connection
    if options := plain_options(agent):
        arguments["options"] = options
    if agent.description:
        arguments["doc_md"] = agent.description + "\n"
    return arguments


def _workspace(workspace: str | FolderWorkspace | RepoWorkspace | FromWorkspace) -> str | dict[str, Any]:
    if isinstance(workspace, str):
        return workspace
    return workspace.model_dump(by_alias=True, exclude_defaults=True)


def _run_outcome(agents: tuple[str, ...]) -> TaskPlan:
    """
    The task that makes a run failed when an agent failed.

    Airflow judges a run by its leaves, and an agent with ``when: failure`` or ``always`` is a leaf that
    succeeds after a failure. While nothing failed the scheduler skips this one, without a worker.
    """
    return TaskPlan(
        task_id=RUN_OUTCOME,
        operator=OUTCOME_OPERATOR,
        arguments={"agents": agents, "retries": 0, "weight_rule": "absolute"},
        upstream=agents,
        trigger_rule="one_failed",
    )
