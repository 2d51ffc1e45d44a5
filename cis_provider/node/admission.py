"""Who may begin: the node's limit, and folders that belong to one run at a time. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

Run = tuple[str, str]


@dataclass(frozen=True)
class Waiting:
    """
    A session that has not begun.

    :param sequence: Order of submission.
    :param predecessor: Whether an earlier session of the same task is still alive: it is being ended.
    :param claim: The folder that must belong to its run alone, if any.
    """

    session_id: str
    run: Run
    priority: int
    sequence: int
    predecessor: bool = False
    claim: str | None = None


@dataclass
class Admission:
    """Sessions to begin, in order; what the others wait for; folders and the runs that take them now."""

    begin: list[str] = field(default_factory=list)
    waits: dict[str, str] = field(default_factory=dict)
    claims: dict[str, Run] = field(default_factory=dict)


def admit(queue: Iterable[Waiting], *, at_work: int, limit: int, held: Mapping[str, Run]) -> Admission:
    """
    Judge a queue.

    The most urgent first, then the oldest. One that waits for a folder holds nobody else up.

    :param at_work: Sessions that have a place now.
    :param limit: Places on this node.
    :param held: Folders and the runs that have them.
    """
    admission = Admission()
    owners = dict(held)
    for session in sorted(queue, key=lambda s: (s.priority, s.sequence)):
        owner = owners.get(session.claim, session.run) if session.claim else session.run
        if session.predecessor:
            admission.waits[session.session_id] = "the task's earlier session to end"
        elif owner != session.run:
            admission.waits[session.session_id] = (
                f"folder {session.claim}, which run {owner[1]} of {owner[0]} has"
            )
        elif at_work + len(admission.begin) >= limit:
            admission.waits[session.session_id] = f"a place on this node ({limit} agents at work)"
        else:
            admission.begin.append(session.session_id)
            if session.claim and session.claim not in held:
                owners[session.claim] = admission.claims[session.claim] = session.run
    return admission
