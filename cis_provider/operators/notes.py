"""Writes what a session waits for into the context store while its task waits for it in its slot."""

from __future__ import annotations

import logging
from typing import Any

from cis_provider.context.notes import Notes, blockage_xcom
from cis_provider.errors import CisError
from cis_provider.model.session import SessionRecord


class TaskNotes:
    """
    Notes of one session. A store that does not answer is tried again at the next news.

    :param ti: The task instance, for its XCom ``blockage``; ``None``: nobody sees one.
    """

    def __init__(self, ti: Any, log: logging.Logger | Any) -> None:
        self._ti, self._log = ti, log
        self._notes = Notes()
        self._xcom: dict[str, Any] | None = None

    def see(self, record: SessionRecord) -> None:
        """What the node tells now."""
        if not self._notes.has_news(record):
            return
        from cis_provider.context.blockages import BlockageBook
        from cis_provider.context.store import ContextStore

        try:
            BlockageBook(ContextStore.default()).note(record)
        except CisError as error:
            self._log.warning("what the agent waits for is not stored yet: %s", error)
            return
        self._notes.noted(record)
        shown = blockage_xcom(record)
        if self._ti is not None and shown != self._xcom:
            self._ti.xcom_push(key="blockage", value=shown)
            self._xcom = shown

    def begin(self, record: SessionRecord) -> None:
        """A try after the first: nothing waits of what an older session of the task asked."""
        if record.try_number <= 1:
            return
        from cis_provider.context.blockages import BlockageBook
        from cis_provider.context.store import ContextStore

        try:
            BlockageBook(ContextStore.default()).settle_others(record.key, record.session_id)
        except CisError as error:
            self._log.warning("what older sessions asked could not be closed: %s", error)
