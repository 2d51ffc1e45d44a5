"""Who may begin: limits of node, scope, DAG, runtime and account, and folders of one run at a time. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

Run = tuple[str, str]

GLOBAL = "global"


@dataclass(frozen=True)
class Place:
    """
    What a session takes while it is at work.

    :param alone: It wants its scope for itself (``exclusive: agent``).
    :param resting: Its process is stopped until a limit resets: it takes none of the node's memory.
    """

    run: Run
    scope: str = GLOBAL
    runtime: str = ""
    account: str = ""
    alone: bool = False
    resting: bool = False


@dataclass(frozen=True)
class Waiting:
    """
    A session that has not begun.

    :param sequence: Order of submission.
    :param dag_limit: Agents of its DAG at work at once; 0: no limit.
    :param predecessor: Whether an earlier session of the same task is still alive: it is being ended.
    :param claim: The folder that must belong to its run alone, if any.
    """

    session_id: str
    place: Place
    priority: int
    sequence: int
    dag_limit: int = 0
    predecessor: bool = False
    claim: str | None = None


@dataclass(frozen=True)
class Limits:
    """
    How many may be at work at once.

    :param scope: In a scope, but for the global one; ``scopes`` says otherwise for some.
    :param dags: Of a DAG, by its id, where it is not as its agents say.
    :param runtimes: By the runtime's name.
    :param accounts: By the account's name.
    """

    node: int
    scope: int
    scopes: Mapping[str, int] = field(default_factory=dict)
    dags: Mapping[str, int] = field(default_factory=dict)
    runtimes: Mapping[str, int] = field(default_factory=dict)
    accounts: Mapping[str, int] = field(default_factory=dict)


@dataclass
class Admission:
    """
    Sessions to begin, in order; what the others wait for; folders and the runs that take them now.

    ``stuck``: sessions whose run waits for a run that waits for it, and why; they can never begin.
    """

    begin: list[str] = field(default_factory=list)
    waits: dict[str, str] = field(default_factory=dict)
    stuck: dict[str, str] = field(default_factory=dict)
    claims: dict[str, Run] = field(default_factory=dict)


def admit(
    queue: Iterable[Waiting],
    *,
    at_work: Iterable[Place],
    limits: Limits,
    held: Mapping[str, Run],
    no_worker: Callable[[str], str] = lambda scope: "",
) -> Admission:
    """
    Judge a queue.

    The most urgent first, then the oldest. One that waits for a folder or a limit holds nobody up who needs
    neither; one that waits for its scope to itself lets nobody of the scope pass.

    :param held: Folders and the runs that have them.
    :param no_worker: Why a scope's worker cannot be had now; empty: it can.
    """
    admission = Admission()
    owners = dict(held)
    waiting_for: list[tuple[Waiting, Run]] = []
    taken = _Taken(at_work, limits)
    for session in sorted(queue, key=lambda s: (s.priority, s.sequence)):
        run, scope = session.place.run, session.place.scope
        owner = owners.get(session.claim, run) if session.claim else run
        if session.predecessor:
            reason = "the task's earlier session to end"
        elif owner != run:
            reason = f"folder {session.claim}, which run {owner[1]} of {owner[0]} has"
            waiting_for.append((session, owner))
        else:
            reason = taken.why_not(session) or no_worker(scope)
        if reason:
            admission.waits[session.session_id] = reason
            continue
        admission.begin.append(session.session_id)
        taken.add(session.place)
        if session.claim and session.claim not in held:
            owners[session.claim] = admission.claims[session.claim] = run
    for session, owner in _closing_circles(waiting_for, owners):
        del admission.waits[session.session_id]
        admission.stuck[session.session_id] = (
            f"folder {session.claim} belongs to run {owner[1]} of {owner[0]}, which waits for a folder of this "
            "run: neither could go on. Let the agents of both take their folders in one order, or share them"
        )
    return admission


def _closing_circles(
    waiting_for: Iterable[tuple[Waiting, Run]], owners: Mapping[str, Run]
) -> list[tuple[Waiting, Run]]:
    """
    The sessions, of the latest, without which no run waits for itself.

    A folder is given back at the end of its run, so a run that waits for another's waits for that run.
    """
    holders = set(owners.values())
    waits: dict[Run, set[Run]] = {}
    closing = []
    for session, owner in sorted(waiting_for, key=lambda pair: pair[0].sequence):
        run = session.place.run
        if run in holders and _leads(owner, run, waits):
            closing.append((session, owner))
        else:
            waits.setdefault(run, set()).add(owner)
    return closing


def _leads(start: Run, goal: Run, waits: Mapping[Run, Iterable[Run]]) -> bool:
    seen: set[Run] = set()
    open_runs = [start]
    while open_runs:
        run = open_runs.pop()
        if run == goal:
            return True
        if run not in seen:
            seen.add(run)
            open_runs += waits.get(run, ())
    return False


class _Taken:
    """Places that are taken, and which limit that reaches."""

    def __init__(self, at_work: Iterable[Place], limits: Limits) -> None:
        self._limits = limits
        self._count: Counter[tuple[str, str]] = Counter()
        self._closed: set[str] = set()
        for place in at_work:
            self.add(place)

    def add(self, place: Place) -> None:
        if not place.resting:
            self._count["node", ""] += 1
        self._count["scope", place.scope] += 1
        self._count["dag", place.run[0]] += 1
        self._count["runtime", place.runtime] += 1
        self._count["account", place.account] += 1
        if place.alone:
            self._closed.add(place.scope)

    def why_not(self, session: Waiting) -> str:
        place, limits = session.place, self._limits
        scope_limit = limits.scopes.get(place.scope, limits.scope if place.scope != GLOBAL else None)
        dag_limit = limits.dags.get(place.run[0], session.dag_limit) if session.dag_limit else None
        if place.scope in self._closed:
            return f"the agent that has {place.scope} for itself"
        if place.alone and self._count["scope", place.scope]:
            # Nobody passes it, or it would wait for ever.
            self._closed.add(place.scope)
            return f"{place.scope} for itself"
        for kind, name, limit, words in (
            ("dag", place.run[0], dag_limit, f"a place in DAG {place.run[0]}"),
            ("scope", place.scope, scope_limit, f"a place in {place.scope}"),
            ("runtime", place.runtime, limits.runtimes.get(place.runtime), f"a {place.runtime} session"),
            ("account", place.account, limits.accounts.get(place.account), f"account {place.account}"),
            ("node", "", limits.node, "a place on this node"),
        ):
            if limit is not None and self._count[kind, name] >= limit >= 0:
                return f"{words} ({limit} agent{'s' if limit != 1 else ''} at work)"
        return ""
