"""``BlockageTrigger``: ends its task as soon as an agent is blocked."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from typing import Any

import msgspec
from airflow.triggers.base import BaseTrigger, TaskSkippedEvent, TaskSuccessEvent, TriggerEvent

from cis_provider.context.blockages import Agent, Entry
from cis_provider.triggers.lookout import lookout, open_book

#: Seconds before something that failed is tried again, and for which that is done once the agent is over.
_PAUSE, _LAST_WORDS = 1.0, 60.0


class BlockageTrigger(BaseTrigger):
    """
    Ends its task with the blockage when the agent is blocked, skipped when the agent ends without.

    :param agent: Id of the agent's task.
    :param kinds: Only these kinds; empty: any.
    :param since: Blockages from then on, seconds since the epoch; 0: from when it first looks.
    """

    def __init__(self, *, agent: str, kinds: Sequence[str] = (), since: float = 0.0) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.agent = agent
        self.kinds = list(kinds)
        self.since = since

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """As Airflow keeps it in its database."""
        return (
            "cis_provider.triggers.blockage.BlockageTrigger",
            {"agent": self.agent, "kinds": self.kinds, "since": self.since},
        )

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """One event, which ends the task."""
        ti: Any = self.task_instance
        agent = (ti.dag_id, ti.run_id, self.agent)
        since = self.since or time.time()
        until = 0.0
        async with lookout().watch(agent) as watch:
            while True:
                over = watch.over
                if over or any(not self.kinds or one.kind in self.kinds for one in watch.waiting):
                    until = until or time.monotonic() + _LAST_WORDS
                    try:
                        found = await asyncio.to_thread(self._find, agent, since)
                    except Exception as error:
                        self.log.warning("the context store does not answer: %s", error)
                        await asyncio.sleep(_PAUSE)
                        if not over or time.monotonic() < until:
                            continue
                        found = None
                    if found is not None:
                        yield TaskSuccessEvent(xcoms={"return_value": as_xcom(found)})
                        return
                    if over:
                        yield TaskSkippedEvent()
                        return
                await watch.news(60)

    def _find(self, agent: Agent, since: float) -> Entry | None:
        entries = [
            entry
            for entry in open_book().of_agent(agent)
            if not self.kinds or str(entry.blockage.kind) in self.kinds
        ]
        # One that came and went between two looks counts, too.
        waiting = [entry for entry in entries if entry.state != "settled"]
        return next(iter(waiting), next((one for one in entries if one.blockage.since >= since), None))


def as_xcom(entry: Entry) -> dict[str, Any]:
    """A blockage, and whose it is, as plain JSON."""
    plain: dict[str, Any] = msgspec.to_builtins(entry.blockage)
    return {
        "agent": entry.key.task_id,
        "map_index": entry.key.map_index,
        "session_id": entry.session_id,
        **plain,
    }
