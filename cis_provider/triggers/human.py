"""``HumanTrigger``: asleep until a form is filled in, or its time is over."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

from airflow.triggers.base import BaseTrigger, TriggerEvent

from cis_provider.triggers import supervisor
from cis_provider.triggers.margin import not_too_soon

#: Seconds between two looks at a form that Airflow itself would tell of.
_EVERY = 60.0

#: Seconds before a question to Airflow that failed is asked again.
_PAUSE = 5.0


class HumanTrigger(BaseTrigger):
    """
    Resumes its task with an answer that came before it slept, or when the time for one is over.

    :param deadline: Seconds since the epoch; 0: none.
    :param reminded: How often it was over before.
    :param deferred_at: When the task's process deferred, seconds since the epoch.
    """

    def __init__(self, *, deadline: float = 0.0, reminded: int = 0, deferred_at: float = 0.0) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.deadline = deadline
        self.reminded = reminded
        self.deferred_at = deferred_at

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """As Airflow keeps it in its database."""
        names = ("deadline", "reminded", "deferred_at")
        return "cis_provider.triggers.human.HumanTrigger", {name: getattr(self, name) for name in names}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """One event."""
        ti: Any = self.task_instance
        while True:
            try:
                response = await supervisor.form_response(ti.id)
            except supervisor.NoForm:
                response = {"missing": True}
            except Exception as error:
                self.log.warning("the form could not be read; it is tried again: %s", error)
                await asyncio.sleep(_PAUSE)
                continue
            if response is None and self.deadline and time.time() >= self.deadline:
                response = {"timeout": self.reminded + 1}
            if response is not None:
                await not_too_soon(self.deferred_at)
                yield TriggerEvent(response)  # type: ignore[no-untyped-call]
                return
            due = self.deadline - time.time() if self.deadline else _EVERY
            await asyncio.sleep(max(0.1, min(_EVERY, due)))
