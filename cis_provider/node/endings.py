"""Sessions at work that are to end, until they have: their workers may be slow, or dead."""

from __future__ import annotations

import logging

from cis_provider.errors import CisError
from cis_provider.node.fleet import WorkerFleet

log = logging.getLogger(__name__)


class Endings:
    """Why sessions are to end, by their ids."""

    def __init__(self, fleet: WorkerFleet) -> None:
        self.reasons: dict[str, str] = {}
        self._fleet = fleet

    def __contains__(self, session_id: str) -> bool:
        return session_id in self.reasons

    async def tell(self, worker: str, session_id: str) -> None:
        """Tell its worker, if it is to end."""
        reason, link = self.reasons.get(session_id), self._fleet.links.get(worker)
        if reason is None or link is None:
            return
        try:
            await link.end(session_id, reason)
        except CisError as error:
            # Its loss is noticed by the listener, which ends its processes.
            log.warning("session %s could not be ended: %s", session_id, error)

    def over(self, session_id: str) -> None:
        """It has ended."""
        self.reasons.pop(session_id, None)
