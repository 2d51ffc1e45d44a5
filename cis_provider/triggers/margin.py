"""When a trigger may resume its task."""

from __future__ import annotations

import asyncio
import time


async def not_too_soon(deferred_at: float) -> None:
    """
    Wait until a task that a worker's process deferred may be resumed: one that resumes too soon is marked failed.

    The supervisor of that process may report its end a whole heartbeat later, and that report would hit the task
    as it is queued again. A task that the scheduler has put to sleep needs no such wait.

    :param deferred_at: Seconds since the epoch; 0: no process deferred.
    """
    if not deferred_at:
        return
    from airflow.configuration import conf

    margin = conf.getint("workers", "min_heartbeat_interval", fallback=5) + 2
    # Never longer than the margin: the clock may have been set back.
    await asyncio.sleep(min(margin, max(0.0, deferred_at + margin - time.time())))
