"""What became of sessions that were given to a worker and that it does not have."""

from __future__ import annotations

from collections.abc import Collection

from cis_provider.model.blockage import Answer
from cis_provider.model.deciding import became
from cis_provider.model.session import SessionRecord, SessionState
from cis_provider.node.book import SessionBook
from cis_provider.worker import leftovers


def judge_missing(
    book: SessionBook, worker: str, *, alive: Collection[str], beginning: Collection[str]
) -> None:
    """
    Take the results of those that ended, call those interrupted that were at work, let the others run.

    :param alive: Ids that the worker has; none when it is gone.
    :param beginning: Ids that are being handed over in this moment.
    """
    accepted = leftovers.noted(worker)
    for record in book.of_worker(worker):
        if record.state is SessionState.QUEUED or record.session_id in alive:
            continue
        if finished := book.store.finished(record.session_id):
            book.take(record, finished)
        elif record.session_id in accepted:
            why = f"{worker} died while the agent was at work, and took it along"
            book.fail(record, "interrupted", why)
        else:
            # It was admitted, but the worker never heard of it: nothing ran, so it may run.
            if record.session_id not in beginning:
                record.state = SessionState.QUEUED
                book.changed(record)
            continue
        leftovers.forget(worker, record.session_id)


def stale(record: SessionRecord, answer: Answer) -> str:
    """Why an answer to a session that has ended comes too late."""
    answers = record.result.answers if record.result else ()
    settled = next((one for one in answers if one.number == answer.number), None)
    ended = f"session {record.session_id} has ended; nothing was delivered"
    return f"{became(settled)}, and {ended}" if settled else ended
