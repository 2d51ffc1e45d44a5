"""A session's workspace, made ready off the event loop."""

from __future__ import annotations

import asyncio
from typing import Any

from cis_provider.model.session import SessionRequest
from cis_provider.workspaces import manager as workspaces
from cis_provider.workspaces.manager import PreparedWorkspace


async def prepare(
    request: SessionRequest, session_id: str, node_id: str, stop: asyncio.Future[Any]
) -> PreparedWorkspace | None:
    """
    The workspace; ``None`` when a stop came first, which does not wait for a slow clone.

    :raises WorkspaceError: It cannot be made.
    """
    preparing = asyncio.ensure_future(
        asyncio.to_thread(
            workspaces.prepare,
            request.workspace,
            session_id=session_id,
            key=request.key,
            node_id=node_id,
            scope=request.scope,
        )
    )
    either: set[asyncio.Future[Any]] = {preparing, stop}
    await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
    return await preparing if preparing.done() else None
