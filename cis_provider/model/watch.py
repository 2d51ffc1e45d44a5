"""Is a session's try still wanted? Judged from what Airflow says of its task. Pure."""

from __future__ import annotations

from typing import NamedTuple

from cis_provider.model.session import SessionRecord

_OVER = frozenset({"success", "failed", "skipped", "upstream_failed", "removed"})


class TaskView(NamedTuple):
    """What Airflow's database says of a task instance now."""

    state: str | None
    try_number: int
    max_tries: int
    pool: str = ""


def reason_to_end(session: SessionRecord, task: TaskView | None) -> str | None:
    """
    Why a living session must be ended; ``None`` while it is wanted.

    A try that was lost (its task process was killed) leaves its session to the next try, which adopts it:
    a higher try number alone is no reason. A clear changes ``max_tries``, and is one.
    """
    if task is None:
        return "its task instance does not exist any more"
    if task.max_tries != session.max_tries:
        return "its task was cleared"
    if task.state in _OVER:
        return f"its task is {task.state}"
    return None
