"""Writes what a session waits for into the context store while its trigger goes on watching."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable
from typing import Any

from cis_provider.context.blockages import BlockageBook
from cis_provider.context.notes import Notes, blockage_xcom
from cis_provider.model.session import SessionRecord
from cis_provider.triggers import supervisor

#: Seconds before a refused write is tried again; doubled up to the second.
_PAUSE, _LONGEST_PAUSE = 0.5, 10.0

#: Seconds that the end of a session waits for its notes: its result is more important.
_LAST = 5.0


class AsyncNotes:
    """
    Notes of one session. A store that does not answer holds nobody up, and costs nothing but time.

    :param open_book: Finds the store; called in a thread.
    :param push_xcom: Whether people see the blockage among the XComs of the task.
    """

    def __init__(
        self, open_book: Callable[[], BlockageBook], log: logging.Logger | Any, *, push_xcom: bool
    ) -> None:
        self._open_book, self._log, self._push_xcom = open_book, log, push_xcom
        self._notes = Notes()
        self._next: SessionRecord | None = None
        self._task: asyncio.Task[None] | None = None
        self._xcom: dict[str, Any] | None = None

    def see(self, record: SessionRecord) -> None:
        """What the node tells now."""
        if self._notes.has_news(record):
            self._next = record
            if self._task is None or self._task.done():
                self._task = asyncio.create_task(self._write())

    async def close(self) -> None:
        """Let the last words be written, and stop."""
        if self._task is None:
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_LAST):
                await asyncio.shield(self._task)
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _write(self) -> None:
        pause = _PAUSE
        while (record := self._next) is not None:
            try:
                await asyncio.to_thread(self._note, record)
            except Exception as error:
                self._log.warning("what the agent waits for is not stored yet: %s", error)
                await asyncio.sleep(pause)
                pause = min(2 * pause, _LONGEST_PAUSE)
                continue
            pause = _PAUSE
            self._notes.noted(record)
            if self._next is record:
                self._next = None
            await self._show(record)

    def _note(self, record: SessionRecord) -> None:
        self._open_book().note(record)

    async def _show(self, record: SessionRecord) -> None:
        shown = blockage_xcom(record)
        if not self._push_xcom or shown == self._xcom:
            return
        self._xcom = shown
        key = record.key
        try:
            await supervisor.set_xcom(
                "blockage",
                shown,
                dag_id=key.dag_id,
                run_id=key.run_id,
                task_id=key.task_id,
                map_index=key.map_index,
            )
        except Exception as error:
            self._log.warning("the XCom `blockage` could not be set: %s", error)
