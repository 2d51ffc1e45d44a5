"""Which agent's terminal a person means."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cis_provider.errors import UsageError

if TYPE_CHECKING:
    from cis_provider.cli.rows import Row, RunView


def find_rows(run: str, agent: str | None) -> tuple[RunView, list[Row]]:
    """
    A run, and the rows of the agent that is meant: several of a mapped one, all where none is named.

    :raises UsageError: There is no such run or agent.
    """
    from cis_provider.cli.connect import connect
    from cis_provider.cli.gather import Gatherer
    from cis_provider.cli.runs import resolve_agent

    with Gatherer(connect()) as gather:
        found, name, position = gather.find(run)
        view = gather.view(found, name)
    if agent is None and position is None:
        return view, list(view.agents)
    ids = {row.id: row.agent for row in view.agents}
    task_id = resolve_agent(agent if agent is not None else str(position), ids, view.run)
    rows = [row for row in view.agents if row.agent == task_id]
    return view, [row for row in rows if row.id == agent] or rows


def at_work(view: RunView, rows: list[Row]) -> Row:
    """
    The one of these agents that has a terminal now; of several, the one that waits for a human.

    :raises UsageError: None has one, or more than one.
    """
    there = [row for row in rows if row.session_id and row.status in ("running", "blocked")]
    waiting = [row for row in there if row.status == "blocked"]
    for candidates in (waiting, there):
        if len(candidates) == 1:
            return candidates[0]
    if there:
        words = ", ".join(f"{row.id} ({row.title})" for row in there)
        raise UsageError(f"which agent of {view.run}? write one of {words}")
    if len(rows) != 1:
        raise UsageError(f"no agent of {view.run} is at work now; `cis dag ps {view.run}` shows them")
    row = rows[0]
    if row.session_id and row.status not in ("queued", "waiting"):
        play = f"`cis session play {view.run} {row.agent}` shows what its terminal showed"
        raise UsageError(f"{row.title} is {row.status}; {play}")
    why = f" ({row.output})" if row.output else ""
    raise UsageError(f"{row.title} is {row.status}{why}; it has no terminal yet")


def with_session(view: RunView, rows: list[Row]) -> Row:
    """
    The one of these agents that has had a terminal on this node.

    :raises UsageError: None has, or more than one.
    """
    had = [row for row in rows if row.session_id]
    if len(had) == 1:
        return had[0]
    if had:
        words = ", ".join(f"{row.id} ({row.title})" for row in had)
        raise UsageError(f"which agent of {view.run}? write one of {words}")
    names = ", ".join(row.title for row in rows)
    raise UsageError(f"no session of {names} is known here: it has not begun, or worked on another node")
