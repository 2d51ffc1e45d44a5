"""What becomes of sessions that were given to a worker and that it does not have."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping

from cis_provider import paths
from cis_provider.model.session import SessionRecord, SessionState
from cis_provider.node.book import SessionBook
from cis_provider.worker import journal, leftovers

log = logging.getLogger(__name__)

#: How often a session is started again after its worker was lost while it waited.
_RESUMES = 5


def judge_missing(
    book: SessionBook,
    worker: str,
    *,
    alive: Collection[str],
    beginning: Collection[str],
    ending: Mapping[str, str],
) -> None:
    """
    Take the results of those that ended, have those go on that only waited, call those interrupted that were at
    work, let the others run.

    :param alive: Ids that the worker has; none when it is gone.
    :param beginning: Ids that are being handed over in this moment.
    :param ending: Ids that are to end, and why.
    """
    accepted = leftovers.noted(worker)
    for record in book.of_worker(worker):
        if record.state is SessionState.QUEUED or record.session_id in alive:
            continue
        if finished := book.store.finished(record.session_id):
            book.take(record, finished)
        elif record.session_id not in accepted:
            # It was admitted, but the worker never heard of it: nothing ran, so it may run.
            if record.session_id not in beginning:
                record.state = SessionState.QUEUED
                book.changed(record)
            continue
        elif reason := ending.get(record.session_id):
            book.fail(record, "killed", reason)
        elif _only_waited(record):
            book.put_back(record)
            log.warning(
                "session %s (%s): %s died while it waited; it goes on, for the %d. time",
                record.session_id,
                record.key,
                worker,
                record.resumed,
            )
        else:
            why = f"{worker} died while the agent was at work, and took it along"
            book.fail(record, "interrupted", why)
        leftovers.forget(worker, record.session_id)


def _only_waited(record: SessionRecord) -> bool:
    """Whether its agent was blocked or rested, in a conversation that can be gone on with."""
    if record.resumed >= _RESUMES:
        return False
    try:
        return journal.read(journal.journal_file(paths.session_dir(record.session_id))).only_waited
    except OSError as error:
        log.error("session %s: what it waited for cannot be read: %s", record.session_id, error)
        return False
