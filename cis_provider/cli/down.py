"""``cis dag down``: end a run, and see to it that nothing of it is left."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from cis_provider.cli.rows import RunView
from cis_provider.errors import NodeUnreachable

if TYPE_CHECKING:
    from cis_provider.cli.gather import Gatherer
    from cis_provider.cli.records import DagRun
    from cis_provider.model.session import SessionRecord

#: Seconds until every session of the run is gone.
DEADLINE = 10.0
#: Seconds for which a task that was just being started may still hand a session to the node.
_LATE_START = 2.5


def end_run(gather: Gatherer, run: DagRun, view: RunView) -> list[str]:
    """
    Mark a run failed in Airflow and end its sessions on this node; returns the agents that were at work.

    The sessions' own triggers do the same when they notice; asking the node as well makes it quick, and
    works while the triggerer is down.

    :raises NodeUnreachable: Sessions are left after :data:`DEADLINE`; the message names their processes.
    """
    gather.api.fail_run(run.dag_id, run.dag_run_id)
    stopped: dict[str, str] = {}
    started = time.monotonic()
    may_submit = any(row.state in ("running", "queued") and not row.session_id for row in view.agents)
    quiet_at = started + (_LATE_START if may_submit else 0.0)
    asked: set[str] = set()
    while True:
        alive = _alive(gather, run)
        for record in alive:
            stopped[record.session_id] = record.key.task_id
            if record.session_id not in asked:
                asked.add(record.session_id)
                _end(gather, record)
        now = time.monotonic()
        if not alive and now >= quiet_at:
            return sorted(set(stopped.values()))
        if now > started + DEADLINE:
            left = ", ".join(f"{record.key.task_id} (pid {record.pid})" for record in alive)
            raise NodeUnreachable(
                f"still at work after {DEADLINE:.0f} s: {left}; `cis worker status` shows them"
            )
        time.sleep(0.1)


def _alive(gather: Gatherer, run: DagRun) -> list[SessionRecord]:
    node = gather.node()
    if node is None:
        return []
    return node.sessions(alive=True, dag_id=run.dag_id, run_id=run.dag_run_id)


def _end(gather: Gatherer, record: SessionRecord) -> None:
    node = gather.node()
    if node is not None:
        node.end(record.session_id, "ended by `cis dag down`")
