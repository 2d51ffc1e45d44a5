"""What Airflow's REST API answers, as far as we read it."""

from __future__ import annotations

import datetime as dt
from typing import Any, NamedTuple

import msgspec

#: States of a run that has not ended.
RUNNING_STATES = ("queued", "running")


class DagRun(msgspec.Struct, kw_only=True):
    """A run. ``state``: ``queued``, ``running``, ``success`` or ``failed``."""

    dag_id: str
    dag_run_id: str
    state: str
    run_type: str = ""
    run_after: dt.datetime | None = None
    queued_at: dt.datetime | None = None
    start_date: dt.datetime | None = None
    end_date: dt.datetime | None = None
    conf: dict[str, Any] | None = None

    @property
    def finished(self) -> bool:
        """Whether nothing more happens in it, unless somebody retries."""
        return self.state not in RUNNING_STATES


class TaskInstance(msgspec.Struct, kw_only=True):
    """A task in a run. ``state`` is None until the scheduler has looked at it."""

    dag_id: str
    dag_run_id: str
    task_id: str
    map_index: int = -1
    state: str | None = None
    try_number: int = 0
    start_date: dt.datetime | None = None
    end_date: dt.datetime | None = None
    operator: str | None = None
    operator_name: str | None = None


class HumanQuestion(msgspec.Struct, kw_only=True):
    """What Airflow asks humans under Required Actions. ``params``: what may be filled in beside the options."""

    task_instance: TaskInstance
    subject: str
    body: str | None = None
    options: list[str]
    params: dict[str, Any] = {}
    created_at: dt.datetime
    response_received: bool = False


class Task(msgspec.Struct, kw_only=True):
    """A task of a DAG."""

    task_id: str
    downstream_task_ids: list[str] = []
    operator_name: str | None = None
    class_ref: dict[str, str | None] | None = None
    trigger_rule: str | None = None
    pool: str | None = None
    queue: str | None = None


class Pool(msgspec.Struct, kw_only=True):
    """A pool; -1 slots are unlimited. ``scheduled_slots``: what waits for a place in it."""

    name: str
    slots: int
    description: str | None = None
    include_deferred: bool = False
    running_slots: int = 0
    queued_slots: int = 0
    deferred_slots: int = 0
    scheduled_slots: int = 0
    open_slots: int = 0

    @property
    def busy(self) -> bool:
        """Whether a task is in it, or waits for it."""
        return any((self.running_slots, self.queued_slots, self.deferred_slots, self.scheduled_slots))


class Dag(msgspec.Struct, kw_only=True):
    """A DAG. ``params`` is there only where details were asked for."""

    dag_id: str
    is_paused: bool = False
    is_stale: bool = False
    description: str | None = None
    timetable_summary: str | None = None
    timetable_description: str | None = None
    next_dagrun_run_after: dt.datetime | None = None
    has_import_errors: bool = False
    fileloc: str = ""
    relative_fileloc: str | None = None
    last_parsed_time: dt.datetime | None = None
    last_parse_duration: float | None = None
    file_token: str = ""
    params: dict[str, Any] | None = None


class ImportFailure(msgspec.Struct, kw_only=True):
    """A file that Airflow could not read DAGs from."""

    timestamp: dt.datetime
    filename: str
    stack_trace: str = ""
    bundle_name: str | None = None


class LogLine(NamedTuple):
    """A line of a task's log. ``raised``: it is the text of the exception that ended the task."""

    text: str
    raised: bool = False
