"""From the coordinator to the scope worker: a session that may begin is given to it once."""

from __future__ import annotations

import asyncio

from cis_provider.errors import NodeUnreachable, TransientAgentError, WorkerLeaving
from cis_provider.model.scope import TaskScope
from cis_provider.model.session import SessionRecord, SessionRequest, with_secrets
from cis_provider.node.fleet import WorkerFleet
from cis_provider.node.secrets import SecretKeeper
from cis_provider.node.store import SessionStore
from cis_provider.worker import leftovers

#: How often a session is offered to workers that go away in that moment.
_ATTEMPTS = 4

#: Seconds that a worker which is leaving may take for its sessions' ends.
_LEAVING = 60.0


def request_of(record: SessionRecord, store: SessionStore, secrets: SecretKeeper) -> SessionRequest:
    """
    A session's request with the values of its secrets.

    :raises TransientAgentError: They were in memory only, and are lost.
    """
    request = store.request(record.session_id)
    values = secrets.read(record.session_id)
    if values is None and request.secrets:
        names = ", ".join(sorted(request.secrets))
        raise TransientAgentError(
            f"the values of {names} were kept in memory only and are lost, since the machine was "
            "restarted; run the agent again"
        )
    return with_secrets(request, values or {})


async def hand_over(record: SessionRecord, request: SessionRequest, fleet: WorkerFleet) -> None:
    """
    Give a session to the worker of its scope.

    :raises NodeUnreachable: No worker took it.
    """
    for attempt in range(_ATTEMPTS):
        link = await fleet.worker_for(TaskScope.parse(record.scope))
        if record.has_ended:
            return
        try:
            await link.begin(record.session_id, request)
            return
        except NodeUnreachable as error:
            # A worker may leave, idle, in the moment it is needed. One that took note has the session.
            if record.session_id in leftovers.noted(record.worker):
                return
            if attempt == _ATTEMPTS - 1:
                raise
            if isinstance(error, WorkerLeaving):
                await link.gone(_LEAVING)
            await asyncio.sleep(0.1)
