"""
What a person reads of a run: Airflow's tasks, the node's sessions and the file's agents as one table. Pure.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from cis_provider.cli.records import RUNNING_STATES, DagRun, Task, TaskInstance
from cis_provider.cli.runs import agent_id
from cis_provider.cli.status import PlanAgent, first_line, seconds_of, status_of
from cis_provider.model.blockage import Blockage
from cis_provider.model.session import SessionRecord

#: States of Airflow in which a task has been given to nobody yet, so that no session is its own.
_NOT_BEGUN = (None, "scheduled", "queued", "none")
#: States of a task that will not change by itself.
_OVER = ("success", "failed", "skipped", "upstream_failed", "removed")
#: Class of the tasks where a human decides: a step of a file like its agents.
HUMAN_OPERATOR = "HumanSensor"
#: Classes of tasks that are agents.
_AGENT_OPERATORS = ("AgentOperator", "_AgentDecoratedOperator", HUMAN_OPERATOR)
#: Class of the tasks that ask humans for agents: no agents themselves, and shown nowhere.
_ASKING_OPERATOR = "InterventionSensor"

UNFINISHED_WORDS = ("waiting", "queued", "running", "blocked", "retrying")


Plan = tuple[PlanAgent, ...]


class Asked(NamedTuple):
    """A question in Airflow, and the task that asks it."""

    blockage: Blockage
    task_id: str


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """
    One agent of one run.

    :param id: ``refactor-001``; names the agent on every command line.
    :param status: One of waiting, queued, running, blocked, done, failed, skipped, retrying.
    :param output: The last line of its output, or what it waits for.
    :param seconds: How long it has been at work; 0 before.
    :param state: Airflow's own word for the status.
    :param error: One sentence, where it failed.
    :param blockage: What it waits for that only a human can give, or that ends by itself.
    :param asked_by: Airflow's task that asks for it, where this node does not know of the question.
    """

    id: str
    agent: str
    status: str
    output: str
    seconds: float
    run: str
    dag_id: str
    run_id: str
    position: int
    map_index: int
    state: str | None
    try_number: int
    session_id: str
    workspace: str
    error: str
    blockage: Blockage | None = None
    asked_by: str = ""

    @property
    def title(self) -> str:
        """The agent's id, with the place in its mapping where it is mapped."""
        return self.agent if self.map_index < 0 else f"{self.agent}[{self.map_index}]"


class RunView(msgspec.Struct, frozen=True, kw_only=True):
    """A run and its agents, in the order of the file."""

    run: str
    dag_id: str
    run_id: str
    state: str
    url: str
    started_at: dt.datetime | None
    ended_at: dt.datetime | None
    agents: list[Row]

    @property
    def finished(self) -> bool:
        """Whether Airflow has judged the run."""
        return self.state not in RUNNING_STATES


def plan_from_tasks(tasks: Iterable[Task]) -> Plan:
    """The agents of a DAG that no CIS file describes: what comes first stands first, then by name."""
    by_id = {task.task_id: task for task in tasks}
    asking = {name for name, task in by_id.items() if _class_of(task) == _ASKING_OPERATOR}
    agents = {name for name, task in by_id.items() if is_agent(task)} or set(by_id) - asking
    upstream: dict[str, set[str]] = {name: set() for name in by_id}
    for name, task in by_id.items():
        for after in task.downstream_task_ids:
            upstream.setdefault(after, set()).add(name)
    order: list[str] = []
    left = dict(upstream)
    while left:
        ready = sorted(name for name, before in left.items() if not before & left.keys()) or sorted(left)
        order += ready
        for name in ready:
            del left[name]
    shown = [name for name in order if name in agents]
    return tuple(
        PlanAgent(name, place, tuple(sorted(upstream[name] & agents))) for place, name in enumerate(shown, 1)
    )


def is_agent(task: Task) -> bool:
    """Whether a task of a DAG is an agent."""
    return _class_of(task) in _AGENT_OPERATORS


def is_human(task: Task) -> bool:
    """Whether a task of a DAG is a step where a human decides: it works nowhere."""
    return _class_of(task) == HUMAN_OPERATOR


def asks(ti: TaskInstance) -> bool:
    """Whether a task of a run asks humans for an agent."""
    return ti.operator == _ASKING_OPERATOR


def at_work(ti: TaskInstance) -> bool:
    """Whether a task has begun and has not ended: it may wait for a human."""
    return ti.state in ("running", "deferred", "awaiting_input")


def leaves(plan: Plan) -> list[str]:
    """Agents that nobody waits for."""
    needed = {dep for agent in plan for dep in agent.deps}
    return [agent.id for agent in plan if agent.id not in needed]


def view(
    run: DagRun,
    name: str,
    tasks: Sequence[TaskInstance],
    sessions: Iterable[SessionRecord],
    plan: Plan,
    *,
    url: str,
    now: float,
    turn: str = "",
    off: bool = False,
    asked: Mapping[tuple[str, int], Asked] | None = None,
) -> RunView:
    """
    Put a run together.

    :param now: Seconds since the epoch.
    :param asked: What Airflow asks humans that this node does not know of, by task id and map index.
    :param turn: Whose turn the run waits for, in words.
    :param off: Its DAG is switched off.
    """
    by_agent: dict[str, list[TaskInstance]] = {}
    for ti in tasks:
        by_agent.setdefault(ti.task_id, []).append(ti)
    newest = newest_sessions(sessions)
    states = {agent: _overall(instances) for agent, instances in by_agent.items()}
    rows: list[Row] = []
    for agent in _with_strays(plan, by_agent):
        for ti in sorted(by_agent.get(agent.id, ()), key=lambda ti: ti.map_index):
            session = _session_of(ti, newest)
            asks = (asked or {}).get((ti.task_id, ti.map_index)) if session is None else None
            rows.append(_row(ti, session, agent, name, states, now, turn, off, asks))
    return RunView(
        run=name,
        dag_id=run.dag_id,
        run_id=run.dag_run_id,
        state=run.state,
        url=url,
        started_at=run.start_date,
        ended_at=run.end_date,
        agents=rows,
    )


def stands_still(states: Collection[str | None]) -> bool:
    """Whether a run with tasks in these states waits for Airflow alone; but for a moment, it should not."""
    left = {state for state in states if state not in _OVER}
    return bool(left) and left <= {None, "none", "up_for_reschedule"}


def with_reasons(view: RunView, reasons: Mapping[Row, str]) -> RunView:
    """The same with a reason for agents that failed and had none."""
    if not reasons:
        return view
    agents = [
        msgspec.structs.replace(row, error=reasons[row], output=row.output or first_line(reasons[row]))
        if row in reasons
        else row
        for row in view.agents
    ]
    return msgspec.structs.replace(view, agents=agents)


def newest_sessions(sessions: Iterable[SessionRecord]) -> dict[tuple[str, int], SessionRecord]:
    """The newest session of each task of one run, by task id and map index."""
    newest: dict[tuple[str, int], SessionRecord] = {}
    for record in sorted(sessions, key=lambda record: record.created_at):
        newest[record.key.task_id, record.key.map_index] = record
    return newest


def _class_of(task: Task) -> str | None:
    return (task.class_ref or {}).get("class_name")


def _with_strays(plan: Plan, by_agent: Mapping[str, list[TaskInstance]]) -> list[PlanAgent]:
    """The plan, and agents that only this run has: the file has changed since."""
    known = {agent.id for agent in plan}
    strays = [
        name
        for name, instances in sorted(by_agent.items())
        if name not in known and any(ti.operator in _AGENT_OPERATORS for ti in instances)
    ]
    return [*plan, *(PlanAgent(name, len(plan) + n, ()) for n, name in enumerate(strays, 1))]


def _overall(instances: Sequence[TaskInstance]) -> str | None:
    """One state for what waits on a task: its own, or for a mapped one a state that is not success yet."""
    open_states = [ti.state for ti in instances if ti.state not in ("success", "skipped", "removed")]
    return open_states[0] if open_states else "success"


def _session_of(ti: TaskInstance, newest: Mapping[tuple[str, int], SessionRecord]) -> SessionRecord | None:
    """The session that works, or has worked, for this try."""
    record = newest.get((ti.task_id, ti.map_index))
    if record is None or ti.state in _NOT_BEGUN:
        return None
    if ti.state in ("running", "deferred") and record.try_number < ti.try_number:
        return None
    return record


def _row(
    ti: TaskInstance,
    session: SessionRecord | None,
    agent: PlanAgent,
    name: str,
    states: Mapping[str, str | None],
    now: float,
    turn: str,
    off: bool,
    asked: Asked | None,
) -> Row:
    blockage = asked.blockage if asked else session.blockage if session else None
    status, output = status_of(ti, session, agent, states, turn, off, asked.blockage if asked else None)
    error = session.result.error if session and session.result and status in ("failed", "retrying") else ""
    return Row(
        id=agent_id(name, agent.position),
        agent=agent.id,
        status=status,
        output=output,
        seconds=seconds_of(ti, session, status, now),
        run=name,
        dag_id=ti.dag_id,
        run_id=ti.dag_run_id,
        position=agent.position,
        map_index=ti.map_index,
        state=ti.state,
        try_number=ti.try_number,
        session_id=session.session_id if session else "",
        workspace=session.workspace if session else "",
        error=error,
        blockage=blockage if status == "blocked" else None,
        asked_by=asked.task_id if asked else "",
    )


def blocked_first(rows: Iterable[Row]) -> list[Row]:
    """The same, those first that wait for somebody, the longest first."""
    return sorted(
        rows, key=lambda row: (row.status != "blocked", row.blockage.since if row.blockage else 0.0)
    )


def plain(record: Any) -> Any:
    """A record as JSON values."""
    return msgspec.to_builtins(record)
