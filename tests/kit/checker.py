"""
What was wrong with a history. Pure.

An attempt was at work from its ``begin`` to the last that was heard of it. :func:`check` judges that alone, with
the list of the runs that were submitted: it knows nothing of what coordinator, workers and Airflow believe.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal

from tests.kit.history import Attempt, Event, Run, Task

Exclusive = Literal["run", "agent", "no"]


@dataclass(frozen=True)
class Submission:
    """
    A run as it was submitted, and what became of it.

    :param tasks: Agents that must have succeeded when it is over, as (agent, map index).
    :param scopes: Scopes that it wants for itself alone; empty, but under ``exclusive: run``.
    :param priority: 0 (first) to 3.
    :param asked: When it joined the line, ns; 0: not known, and its place in the line is not judged.
    :param over: When it was over, ns; more than once for one that was cleared.
    """

    dag: str
    run: str
    tasks: Collection[tuple[str, int]]
    scopes: tuple[str, ...] = ()
    exclusive: Exclusive = "no"
    priority: int = 2
    asked: int = 0
    over: tuple[int, ...] = ()
    runtime: str = "shell"
    account: str = ""


@dataclass(frozen=True)
class Limits:
    """Attempts at work at once. ``scope``: in each scope but the global one, where ``scopes`` says nothing."""

    node: int | None = None
    scope: int | None = None
    scopes: Mapping[str, int] = field(default_factory=dict)
    dags: Mapping[str, int] = field(default_factory=dict)
    runtimes: Mapping[str, int] = field(default_factory=dict)
    accounts: Mapping[str, int] = field(default_factory=dict)


class Fault(StrEnum):
    """What can be wrong."""

    STRANGE = "strange"
    """An event of a task that nobody submitted, or of an attempt that never began, or that began twice."""
    LOST = "lost"
    """A run is over, and one of its tasks has never ended by itself."""
    TWICE = "twice"
    """An attempt was heard of after a later one of its task had begun."""
    NODE_LIMIT = "node limit"
    SCOPE_LIMIT = "scope limit"
    DAG_LIMIT = "DAG limit"
    RUNTIME_LIMIT = "runtime limit"
    ACCOUNT_LIMIT = "account limit"
    TURN = "turn"
    """An attempt of another run was at work in a scope between the first begin and the last word of a run that
    has the scope for itself. A run has all its scopes at once, and until it is over: what it does after that
    (it was cleared) is a turn of its own. What still runs when its run is over belongs to that turn."""
    ALONE = "alone"
    """Another task was at work in the scope beside an agent that has it for itself."""
    ORDER = "order"
    """A run had its turn before one that was waiting already and goes first: by priority, then by asking."""


@dataclass(frozen=True)
class Violation:
    """A fault, when it was first seen (ns), and what happened."""

    fault: Fault
    time: int
    text: str

    def __str__(self) -> str:
        return f"{self.time / 1e9:.3f} {self.fault}: {self.text}"


@dataclass(frozen=True)
class _Turn:
    """What a run did in its scopes up to its end."""

    of: Submission
    begin: int
    last: int

    @property
    def run(self) -> Run:
        return self.of.dag, self.of.run

    @property
    def order(self) -> tuple[int, int]:
        return self.of.priority, self.of.asked


def check(events: Iterable[Event], runs: Sequence[Submission], limits: Limits) -> list[Violation]:
    """Everything that is wrong, in the order of time."""
    found: list[Violation] = []
    submitted = {(run.dag, run.run): run for run in runs}
    attempts = _attempts(events, submitted, found)
    by_begin = sorted(attempts, key=lambda attempt: attempt.begin)
    turns = [turn for run in runs if run.exclusive == "run" for turn in _turns(run, by_begin)]
    found += _lost(runs, attempts)
    found += _twice(by_begin)
    found += _over_limits(by_begin, submitted, limits)
    found += _broken_turns(turns, by_begin)
    found += _not_alone(by_begin, submitted)
    found += _out_of_order(turns)
    return sorted(found, key=lambda violation: violation.time)


def _attempts(
    events: Iterable[Event], submitted: Mapping[Run, Submission], found: list[Violation]
) -> list[Attempt]:
    attempts: dict[tuple[Task, str, int], Attempt] = {}
    for event in sorted(events, key=lambda event: event.time):
        run = submitted.get((event.dag, event.run))
        key = event.task, event.session, event.pid
        known = attempts.get(key)
        if run is None or (event.agent, event.map_index) not in run.tasks:
            found.append(Violation(Fault.STRANGE, event.time, f"nobody submitted {event.line().strip()}"))
        elif (known is None) != (event.kind == "begin"):
            what = "never began" if known is None else "began twice"
            found.append(Violation(Fault.STRANGE, event.time, f"it {what}: {event.line().strip()}"))
        elif known is None:
            attempts[key] = Attempt(event.task, event.scope, event.session, event.pid, event.time, event.time)
        else:
            known.last = event.time
            known.ended = known.ended or event.kind == "end"
    return list(attempts.values())


def _lost(runs: Iterable[Submission], attempts: Iterable[Attempt]) -> Iterator[Violation]:
    done = {attempt.task for attempt in attempts if attempt.ended}
    for run in runs:
        for agent, index in sorted(run.tasks):
            if run.over and (run.dag, run.run, agent, index) not in done:
                text = f"{run.dag}/{run.run} is over, and {agent} ({index}) has never ended"
                yield Violation(Fault.LOST, run.over[-1], text)


def _twice(by_begin: Iterable[Attempt]) -> Iterator[Violation]:
    latest: dict[Task, Attempt] = {}
    for attempt in by_begin:
        before = latest.get(attempt.task)
        if before and before.last > attempt.begin:
            yield Violation(Fault.TWICE, attempt.begin, f"{attempt} began while {before} was at work")
        if before is None or attempt.last > before.last:
            latest[attempt.task] = attempt


def _over_limits(
    by_begin: Iterable[Attempt], submitted: Mapping[Run, Submission], limits: Limits
) -> Iterator[Violation]:
    at_work: Counter[tuple[Fault, str]] = Counter()
    # What ends in the very moment in which another begins makes room for it.
    moments = [(max(one.last, one.begin + 1), 0, one) for one in by_begin]
    moments += [(one.begin, 1, one) for one in by_begin]
    for time, begins, attempt in sorted(moments, key=lambda moment: moment[:2]):
        for fault, name, limit in _limits_of(attempt, submitted[attempt.run], limits):
            at_work[fault, name] += 1 if begins else -1
            if begins and at_work[fault, name] > limit:
                text = f"{attempt} is the {at_work[fault, name]}. at work of {limit} {name}".strip()
                yield Violation(fault, time, text)


def _limits_of(attempt: Attempt, run: Submission, limits: Limits) -> Iterator[tuple[Fault, str, int]]:
    of_scope = limits.scopes.get(attempt.scope, limits.scope if attempt.scope != "global" else None)
    for fault, name, limit in (
        (Fault.NODE_LIMIT, "", limits.node),
        (Fault.SCOPE_LIMIT, attempt.scope, of_scope),
        (Fault.DAG_LIMIT, run.dag, limits.dags.get(run.dag)),
        (Fault.RUNTIME_LIMIT, run.runtime, limits.runtimes.get(run.runtime)),
        (Fault.ACCOUNT_LIMIT, run.account, limits.accounts.get(run.account)),
    ):
        if limit is not None:
            yield fault, name, limit


def _turns(run: Submission, by_begin: Iterable[Attempt]) -> Iterator[_Turn]:
    own = [attempt for attempt in by_begin if attempt.run == (run.dag, run.run)]
    ends = [*sorted(run.over), None]
    for since, until in zip([0, *ends[:-1]], ends, strict=True):
        # A begin in the same moment as the end of the run before belongs to what comes next.
        part = [one for one in own if one.begin >= (since or 0) and (until is None or one.begin < until)]
        if part:
            yield _Turn(run, part[0].begin, max(one.last for one in part))


def _broken_turns(turns: Iterable[_Turn], by_begin: Sequence[Attempt]) -> Iterator[Violation]:
    for turn in turns:
        strangers: set[tuple[Run, str]] = set()
        for attempt in by_begin:
            within = attempt.begin < turn.last and attempt.last > turn.begin
            if attempt.scope not in turn.of.scopes or attempt.run == turn.run or not within:
                continue
            if (attempt.run, attempt.scope) not in strangers:
                strangers.add((attempt.run, attempt.scope))
                text = f"{attempt} was at work in {attempt.scope} in the turn of {'/'.join(turn.run)}"
                yield Violation(Fault.TURN, max(attempt.begin, turn.begin), text)


def _not_alone(by_begin: Sequence[Attempt], submitted: Mapping[Run, Submission]) -> Iterator[Violation]:
    for place, one in enumerate(by_begin):
        for other in by_begin[place + 1 :]:
            if other.begin >= one.last:
                break
            modes = (submitted[one.run].exclusive, submitted[other.run].exclusive)
            if other.scope == one.scope and other.task != one.task and "agent" in modes:
                yield Violation(Fault.ALONE, other.begin, f"{other} began beside {one} in {one.scope}")


def _out_of_order(turns: Sequence[_Turn]) -> Iterator[Violation]:
    judged = [turn for turn in turns if turn.of.asked]
    for turn in judged:
        rivals = [other for other in judged if not set(other.of.scopes).isdisjoint(turn.of.scopes)]
        # It was its turn at this moment or later: when it had asked, and those before it had ended.
        due = max([turn.of.asked, *(other.last for other in rivals if other.begin < turn.begin)])
        for other in rivals:
            waited = other.of.asked < due and not any(over < turn.begin for over in other.of.over)
            if other.begin > turn.begin and other.order < turn.order and waited:
                text = f"{'/'.join(turn.run)} went before {'/'.join(other.run)}, which is {other.order}"
                yield Violation(Fault.ORDER, turn.begin, f"{text}, itself {turn.order}")
