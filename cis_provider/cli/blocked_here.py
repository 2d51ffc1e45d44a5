"""
The blocked agent that is meant, by what this node knows alone: an answer needs no Airflow, and must not wait for it.

Only where the words can mean nothing else. Whatever is not clear here is looked at with Airflow.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from cis_provider.cli.rows import Row
from cis_provider.cli.runs import agent_id, given_name
from cis_provider.errors import UnreachableError

if TYPE_CHECKING:
    from cis_provider.model.session import SessionRecord

_AGENT_ID = re.compile(r"(?P<run>.+)-(?P<position>\d{3,})")


def blocked_here(run: str, agent: str | None) -> Row | None:
    """
    The row of a blocked agent of this node; None: there is none, or the words may mean another one.

    :param run: A run's name or id, ``DAG/RUN``, or an agent's ID.
    :param agent: An agent's id, ID or place; None only beside an ID.
    """
    from cis_provider.node.client import NodeClient

    try:
        with NodeClient("cli", start=False, timeout=5.0) as node:
            alive = node.sessions(alive=True)
    except (UnreachableError, OSError):
        return None
    return find_row(alive, run, agent)


def find_row(alive: Sequence[SessionRecord], run: str, agent: str | None) -> Row | None:
    """As :func:`blocked_here`, of these sessions. Pure."""
    dag_id, slash, rest = run.partition("/")
    mine = [one for one in alive if not slash or one.key.dag_id == dag_id]
    wanted = rest if slash else run
    named = _of_run(mine, wanted)
    if not named and agent is None and (match := _AGENT_ID.fullmatch(wanted)):
        named, agent = _of_run(mine, match["run"]), match["position"]
    if agent is None or len({(one.key.dag_id, one.key.run_id) for one in named}) != 1:
        return None
    meant = [one for one in named if one.blockage is not None and _is(one, agent)]
    return _row(meant[0]) if len(meant) == 1 else None


def _of_run(records: Sequence[SessionRecord], name: str) -> list[SessionRecord]:
    exact = [one for one in records if one.key.run_id == name]
    return exact or [one for one in records if given_name(one.key.run_id) == name]


def _is(record: SessionRecord, agent: str) -> bool:
    title = record.key.task_id + (f"[{record.key.map_index}]" if record.key.map_index >= 0 else "")
    if agent in (title, record.key.task_id):
        return True
    place = agent_id(given_name(record.key.run_id) or record.key.run_id, record.position)
    return agent == place or (agent.isdigit() and int(agent) == record.position)


def _row(record: SessionRecord) -> Row:
    name = given_name(record.key.run_id) or record.key.run_id
    return Row(
        id=agent_id(name, record.position),
        agent=record.key.task_id,
        status="blocked",
        output="",
        seconds=0.0,
        run=name,
        dag_id=record.key.dag_id,
        run_id=record.key.run_id,
        position=record.position,
        map_index=record.key.map_index,
        state=None,
        try_number=record.try_number,
        session_id=record.session_id,
        workspace=record.workspace,
        error="",
        blockage=record.blockage,
    )
