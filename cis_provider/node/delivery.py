"""A decision on its way to the agent that waits for it."""

from __future__ import annotations

import asyncio

from cis_provider.errors import NodeUnreachable, ProtocolError, StaleAnswer
from cis_provider.model.blockage import Answer
from cis_provider.model.deciding import became
from cis_provider.model.session import SessionRecord, SessionState
from cis_provider.node.answers import error_of
from cis_provider.node.dial import dial
from cis_provider.node.fleet import WorkerFleet
from cis_provider.wire import frames
from cis_provider.wire.messages import AnswerSession, Failure, Ok

#: Seconds for an answer to reach an agent.
_DELIVERY = 10.0


async def deliver(record: SessionRecord, answer: Answer, fleet: WorkerFleet) -> None:
    """
    Pass a decision on to a session's worker. Sent again with the same id, it is delivered once.

    :raises AnswerRefused: It does not fit; says what became of what it answers.
    :raises NodeUnreachable: The worker is gone, or does not answer; nothing is lost, it may be sent again.
    """
    if record.has_ended:
        raise StaleAnswer(_too_late(record, answer))
    if record.worker not in fleet.links or record.state is SessionState.QUEUED:
        raise NodeUnreachable(
            f"session {record.session_id} waits for its worker {record.worker}; nothing was delivered, send the "
            "answer again"
        )
    await _deliver_at(record.worker, record.session_id, answer)


async def _deliver_at(worker: str, session_id: str, answer: Answer) -> None:
    """On a connection of its own: an agent may take seconds for it, and nobody else waits."""
    writer: asyncio.StreamWriter | None = None
    try:
        async with asyncio.timeout(_DELIVERY):
            (reader, writer), _ = await dial(worker, timeout=_DELIVERY)
            writer.write(frames.encode(AnswerSession(session_id, answer)))
            await writer.drain()
            said = await frames.read(reader)
    except (OSError, ProtocolError) as error:
        raise NodeUnreachable(
            f"{worker} did not answer: {error or type(error).__name__}; send the answer again"
        ) from None
    finally:
        if writer:
            writer.close()
    if isinstance(said, Failure):
        raise error_of(said)
    if not isinstance(said, Ok):
        raise NodeUnreachable(f"{worker} went away while it was given an answer; send it again")


def _too_late(record: SessionRecord, answer: Answer) -> str:
    answers = record.result.answers if record.result else ()
    settled = next((one for one in answers if one.number == answer.number), None)
    ended = f"session {record.session_id} has ended; nothing was delivered"
    return f"{became(settled)}, and {ended}" if settled else ended
