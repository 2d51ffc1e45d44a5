"""Where a session's terminal is, and what it shows."""

from __future__ import annotations

from cis_provider import paths
from cis_provider.errors import UsageError
from cis_provider.model.session import SessionState
from cis_provider.node.book import SessionBook
from cis_provider.node.client import NodeClient
from cis_provider.wire.messages import TerminalAt
from cis_provider.wire.terminal import Seen
from cis_provider.worker.attach_client import TerminalLink


def find_terminal(book: SessionBook, session_id: str) -> TerminalAt:
    """
    The socket of its worker, empty when it has ended; and its recording.

    :raises UsageError: There is no such session, or it has not begun.
    """
    record = book.get(session_id)
    if record.state is SessionState.QUEUED:
        why = f": it waits for {record.waiting_for}" if record.waiting_for else ""
        raise UsageError(f"session {session_id} has not begun{why}")
    socket = "" if record.has_ended else str(paths.terminal_socket(record.worker))
    return TerminalAt(socket, str(paths.recording_file(session_id)))


def look(session_id: str) -> Seen:
    """
    What a session's terminal shows now, and what the rules make of it. Asks this node.

    :raises UsageError: There is no such session, or it has not begun, or has ended.
    :raises NodeUnreachable: The node or the session's worker does not answer.
    """
    with TerminalLink(socket_of(session_id)) as link:
        return link.look(session_id)


def socket_of(session_id: str) -> str:
    """
    The socket at which a session's terminal is. Asks this node's coordinator.

    :raises UsageError: There is no such session, or it has not begun, or has ended.
    """
    with NodeClient("cli", start=False) as node:
        found = node.find_terminal(session_id)
    if not found.socket:
        raise UsageError(f"session {session_id} has ended; its recording is {found.recording}")
    return found.socket
