"""``cis dag retry``: do an agent, and what came after it, again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cis_provider.cli.questions import GROUP
from cis_provider.cli.runs import resolve_agent
from cis_provider.cli.screen import note, say, say_json
from cis_provider.errors import UsageError

if TYPE_CHECKING:
    from cis_provider.cli.gather import Gatherer
    from cis_provider.cli.rows import Row


def retry_agent(gather: Gatherer, run: str, agent: str, *, fresh: bool, as_json: bool) -> None:
    """
    Clear the agent's task and those behind it; Airflow runs them again.

    :param fresh: In a new conversation; else it goes on in the one that it had when it failed.
    :raises UsageError: It has not begun yet, or there is none.
    """
    found, name, _position = gather.find(run)
    view = gather.view(found, name)
    task_id = resolve_agent(agent, {row.id: row.agent for row in view.agents}, view.run)
    rows = [row for row in view.agents if row.agent == task_id]
    if all(row.status in ("waiting", "queued") for row in rows):
        raise UsageError(f"{task_id} has not begun yet ({rows[0].output}); nothing to do again")
    if fresh:
        for row in rows:
            _begin_anew(gather, row)
    dag = gather.api.dag(found.dag_id)
    if dag is not None and dag.is_paused:
        gather.api.pause(found.dag_id, False)
        note(f"{found.dag_id} was switched off; it is on now, so that the retry begins")
    tasks = [task_id]
    # The task that asks for it is not behind it: it would stay skipped.
    if any(task.task_id == GROUP + task_id for task in gather.api.tasks(found.dag_id)):
        tasks.append(GROUP + task_id)
    cleared = {ti.task_id for ti in gather.api.clear(found.dag_id, found.dag_run_id, *tasks)}
    order = {row.agent: row.position for row in view.agents}
    agents = sorted((one for one in cleared if one in order), key=lambda one: order[one])
    if as_json:
        record = {"run": name, "dag_id": found.dag_id, "run_id": found.dag_run_id, "cleared": agents}
        say_json(record | {"fresh": fresh})
        return
    say(f"to be done again: {', '.join(agents)}" + (f"; {task_id} in a new conversation" if fresh else ""))
    note(f"`cis dag logs -f {name}` follows it")


def _begin_anew(gather: Gatherer, row: Row) -> None:
    from cis_provider.model.session import SessionKey
    from cis_provider.worker.conversations import ask_for_new

    records = gather.sessions(row.dag_id, row.run_id)
    mine = [one for one in records if (one.key.task_id, one.key.map_index) == (row.agent, row.map_index)]
    newest = max(mine, key=lambda one: one.created_at, default=None)
    if newest is None:
        raise UsageError(
            f"--fresh: {row.title} has no session on this node; on its own node, or with --via HOST, it works"
        )
    ask_for_new(SessionKey(row.dag_id, row.run_id, row.agent, row.map_index), after=newest.session_id)
