"""
The sweep: ends sessions whose task does not want them any more.

One thread in a triggerer's parent process, which has Airflow's database at hand. What Airflow says of a task
is the only judge: ``on_kill`` of a trigger may come late, not at all, or for a healthy task that another
triggerer took over. The same process holds a lock that tells operators of this node that they may defer: a
deferred agent always has somebody who watches over it.
"""

from __future__ import annotations

import logging
import os
import socket
import threading
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from cis_provider import paths
from cis_provider.errors import CisError
from cis_provider.files import is_locked, lock_for_life, private_folder
from cis_provider.listeners.interventions import bring_back
from cis_provider.listeners.pools import heal_pools
from cis_provider.listeners.turns import bring_forward, pool_slots
from cis_provider.model.session import SessionRecord
from cis_provider.model.watch import TaskView, reason_to_end
from cis_provider.node.client import NodeClient
from cis_provider.pools import dag_pool_name
from cis_provider.wire.messages import Vouch

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

log = logging.getLogger(__name__)

#: Seconds between two looks: an unwanted agent is gone within five seconds, two of them its own.
EVERY = 1.5

#: Seconds between two looks for tasks that wait for a pool which was deleted.
_HEAL_EVERY = 10.0

#: Seconds between two looks for agents that were cleared without the task that asks for them.
_BACK_EVERY = 3.0

_UNFINISHED = frozenset({"queued", "running"})

_TaskKey = tuple[str, str, str, int]
Run = tuple[str, str]


def triggerer_serves_node() -> bool:
    """Whether a living triggerer shares this node's ``CIS_HOME``, so that a task of this node may defer."""
    try:
        return any(is_locked(file) for file in paths.triggerers_dir().iterdir())
    except FileNotFoundError:
        return False


def watch_over(job: Any) -> None:
    """
    Begin the sweep in this process if ``job`` turns out to be a triggerer's.

    The hook that calls this comes before the job knows its own type.
    """
    # Imported here, in the main thread: a triggerer forks soon after, and a thread of its parent must not
    # hold an import lock in that moment.
    import airflow.models.dagrun
    import airflow.models.pool
    import airflow.models.serialized_dag
    import airflow.models.taskinstance
    import airflow.utils.session  # noqa: F401

    threading.Thread(target=_watch, args=(job,), name="cis-sweep", daemon=True).start()


def _watch(job: Any) -> None:
    deadline = time.monotonic() + 30
    # Through __dict__: reading an expired attribute would query the database from the wrong thread.
    while "job_type" not in job.__dict__:
        if time.monotonic() > deadline:
            return
        time.sleep(0.05)
    if job.__dict__["job_type"] != "TriggererJob":
        return
    lock = lock_for_life(
        private_folder(paths.triggerers_dir()) / f"{socket.gethostname()}-{os.getpid()}.lock"
    )
    log.info("agents of this node may defer; their sessions are watched over")
    sweep, complained = Sweep(), False
    heal_at = back_at = 0.0
    while lock:
        time.sleep(EVERY)
        if time.monotonic() > back_at:
            bring_back()
            back_at = time.monotonic() + _BACK_EVERY
        if time.monotonic() > heal_at:
            heal_pools()
            heal_at = time.monotonic() + _HEAL_EVERY
        try:
            sweep.once()
            complained = False
        except Exception:
            if not complained:
                log.exception("the sweep failed; it is tried again every %.1f s", EVERY)
            complained = True


class Sweep:
    """
    One look after another.

    A node may serve several Airflows. What this one's database has never heard of belongs to another, and is
    left alone; what it knew and does not know any more was deleted.
    """

    def __init__(self) -> None:
        self._ours: set[_TaskKey] = set()
        self._our_runs: set[Run] = set()

    def once(self) -> None:
        """End what is not wanted, vouch for what is, give back what ended runs had, and call who is next."""
        if not paths.coordinator_socket().exists():
            return
        from airflow.utils.session import create_session

        try:
            with NodeClient("sweep", start=False, timeout=10) as node:
                alive, held = node.sessions(alive=True), node.held_runs()
                if not alive and not held:
                    return
                turns = node.turns() if held else []
                with create_session() as session:
                    tasks = _tasks(alive, session)
                    runs = _runs(held, session)
                    slots = pool_slots(
                        {record.scope for record in alive}, _dags_with_own_pool(tasks), session
                    )
                    bring_forward(turns, session)
                self._end_unwanted(node, alive, tasks)
                node.vouch(_vouch(alive, tasks, runs, slots))
                self._release(node, held, runs)
        except CisError as error:
            log.debug("no sweep: %s", error)

    def _end_unwanted(
        self, node: NodeClient, alive: list[SessionRecord], tasks: dict[_TaskKey, TaskView]
    ) -> None:
        keys = [_task_key(record) for record in alive]
        self._ours = {key for key in keys if key in tasks or key in self._ours}
        for key, record in zip(keys, alive, strict=True):
            if key not in self._ours:
                continue
            if reason := reason_to_end(record, tasks.get(key)):
                log.info("session %s (%s) is ended: %s", record.session_id, record.key, reason)
                node.end(record.session_id, reason, if_try=record.try_number)

    def _release(self, node: NodeClient, held: list[Run], runs: dict[Run, str]) -> None:
        self._our_runs = {run for run in held if run in runs or run in self._our_runs}
        over = [run for run in self._our_runs if runs.get(run) not in _UNFINISHED]
        if over:
            node.release_runs(over)


def _vouch(
    alive: list[SessionRecord],
    tasks: dict[_TaskKey, TaskView],
    runs: dict[Run, str],
    slots: tuple[dict[str, int], dict[str, int]],
) -> Vouch:
    return Vouch(
        session_ids=[record.session_id for record in alive if _task_key(record) in tasks],
        runs=[run for run, state in runs.items() if state in _UNFINISHED],
        scope_slots=slots[0],
        dag_slots=slots[1],
    )


def _dags_with_own_pool(tasks: dict[_TaskKey, TaskView]) -> set[str]:
    return {key[0] for key, task in tasks.items() if task.pool == dag_pool_name(key[0])}


def _task_key(record: SessionRecord) -> _TaskKey:
    key = record.key
    return key.dag_id, key.run_id, key.task_id, key.map_index


def _tasks(records: Iterable[SessionRecord], session: Session) -> dict[_TaskKey, TaskView]:
    from airflow.models.taskinstance import TaskInstance as Task
    from sqlalchemy import select

    keys = [record.key for record in records]
    if not keys:
        return {}
    rows = session.execute(
        select(
            Task.dag_id,
            Task.run_id,
            Task.task_id,
            Task.map_index,
            Task.state,
            Task.try_number,
            Task.max_tries,
            Task.pool,
        ).where(
            Task.dag_id.in_({key.dag_id for key in keys}),
            Task.run_id.in_({key.run_id for key in keys}),
            Task.task_id.in_({key.task_id for key in keys}),
        )
    )
    return {
        (d, r, t, m): TaskView(state and str(state), tries, most, pool)
        for d, r, t, m, state, tries, most, pool in rows
    }


def _runs(held: list[Run], session: Session) -> dict[Run, str]:
    from airflow.models.dagrun import DagRun
    from sqlalchemy import select

    if not held:
        return {}
    rows = session.execute(
        select(DagRun.dag_id, DagRun.run_id, DagRun.state).where(
            DagRun.dag_id.in_({dag_id for dag_id, _ in held}),
            DagRun.run_id.in_({run_id for _, run_id in held}),
        )
    )
    return {(dag_id, run_id): str(state) for dag_id, run_id, state in rows}
