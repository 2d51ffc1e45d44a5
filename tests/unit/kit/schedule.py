"""
Legal histories by the dice, for tests of the checker.

A simulation that shares no code with the checker: runs ask for their scopes, have them, work, are killed and
tried again, end, and are cleared.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from random import Random

from tests.kit.checker import Exclusive, Limits, Submission
from tests.kit.history import Event, Kind

#: Nanoseconds between two events.
STEP = 10

_MODES: dict[str, tuple[Exclusive, ...]] = {
    "project:a": ("run",),
    "project:b": ("run", "no"),
    "type:c": ("agent",),
    "global": ("no",),
}


@dataclass(frozen=True)
class Scene:
    """A history, the runs behind it, and limits for it."""

    events: list[Event]
    runs: list[Submission]
    limits: Limits

    def run_of(self, event: Event) -> Submission:
        """The run of an event."""
        return next(run for run in self.runs if (run.dag, run.run) == event.task[:2])


def legal(random: Random) -> Scene:
    """A history without a fault, and the narrowest limits that it keeps."""
    world = _World(random)
    world.play()
    scene = Scene(world.events, [run.submission() for run in world.runs], Limits())
    node = fullest(scene, lambda event: "")[""][0]
    scopes = _sizes(fullest(scene, lambda event: event.scope))
    dags = _sizes(fullest(scene, lambda event: event.dag))
    accounts = _sizes(fullest(scene, lambda event: scene.run_of(event).account))
    limits = Limits(node, None, scopes, dags, {"shell": node}, accounts)
    return Scene(scene.events, scene.runs, limits)


def fullest(scene: Scene, group: Callable[[Event], str]) -> dict[str, tuple[int, Event]]:
    """The most attempts of each group at work at once, and the begin that made it so."""
    spans = [(begin, max(last, begin.time + 1)) for begin, last in _spans(scene.events)]
    found: dict[str, tuple[int, Event]] = {}
    for begin, _ in spans:
        name = group(begin)
        count = sum(other.time <= begin.time < last and group(other) == name for other, last in spans)
        if count > found.get(name, (0,))[0]:
            found[name] = count, begin
    return found


def _sizes(found: Mapping[str, tuple[int, Event]]) -> dict[str, int]:
    return {name: count for name, (count, _) in found.items()}


def _spans(events: list[Event]) -> Iterator[tuple[Event, int]]:
    last = {event.session: event.time for event in events}
    yield from ((event, last[event.session]) for event in events if event.kind == "begin")


@dataclass
class _Run:
    number: int
    scope: str
    exclusive: Exclusive
    dag: str
    tasks: list[str]
    priority: int
    account: str
    asked: int = 0
    waits: int = 0
    over: list[int] = field(default_factory=list)
    #: Tasks that are to be done; process and try of those at work.
    open: set[str] = field(default_factory=set)
    at_work: dict[str, int] = field(default_factory=dict)
    tries: Counter[str] = field(default_factory=Counter)

    def submission(self) -> Submission:
        return Submission(
            self.dag,
            f"r{self.number}",
            {(task, -1) for task in self.tasks},
            scopes=(self.scope,) if self.exclusive == "run" else (),
            exclusive=self.exclusive,
            priority=self.priority,
            asked=self.asked,
            over=tuple(self.over),
            account=self.account,
        )


class _World:
    """Every step that it offers is legal."""

    def __init__(self, random: Random) -> None:
        self.random = random
        self.time = 1000
        self.pid = 100
        self.events: list[Event] = []
        self.leases: dict[str, _Run] = {}
        self.line: list[_Run] = []
        self.runs = [self._run(number) for number in range(random.randint(2, 9))]
        self.coming = list(self.runs)
        self.clears = random.randint(0, 2)

    def play(self) -> None:
        while steps := self._steps():
            self.random.choice(steps)()
            self.time += STEP
            self._give_turns()

    def _run(self, number: int) -> _Run:
        scope = self.random.choice(sorted(_MODES))
        exclusive = self.random.choice(_MODES[scope])
        dag = f"{exclusive}-{scope[-1]}{self.random.randint(1, 2)}"
        tasks = [f"t{place}" for place in range(self.random.randint(1, 3))]
        account = self.random.choice(["", "work"])
        return _Run(number, scope, exclusive, dag, tasks, self.random.randint(0, 3), account, open=set(tasks))

    def _steps(self) -> list[Callable[[], None]]:
        steps: list[Callable[[], None]] = [lambda run=run: self._come(run) for run in self.coming]
        for run in self.runs:
            if run in self.coming or run in self.line:
                continue
            for task in sorted(run.at_work):
                for kind in ("beat", "beat", "beat", "end"):
                    steps.append(lambda run=run, task=task, kind=kind: self._say(run, task, kind))
                steps.append(lambda run=run, task=task: self._kill(run, task))
            if self._may_begin(run):
                steps += [
                    lambda run=run, task=task: self._begin(run, task)
                    for task in sorted(run.open - run.at_work.keys())
                ]
            if not run.open and not self._is_over(run):
                steps.append(lambda run=run: self._finish(run))
            elif not run.open and self.clears:
                steps.append(lambda run=run: self._clear(run))
        return steps

    def _is_over(self, run: _Run) -> bool:
        return bool(run.over) and run.over[-1] > run.waits

    def _come(self, run: _Run) -> None:
        self.coming.remove(run)
        run.waits = self.time
        run.asked = run.asked or self.time
        if run.exclusive == "run":
            self.line.append(run)

    def _give_turns(self) -> None:
        for run in sorted(self.line, key=lambda run: (run.priority, run.waits)):
            guests = any(other.at_work for other in self.runs if other.scope == run.scope)
            if run.scope not in self.leases and not guests:
                self.leases[run.scope] = run
                self.line.remove(run)

    def _may_begin(self, run: _Run) -> bool:
        if run.exclusive == "run":
            return self.leases.get(run.scope) is run
        if run.exclusive == "agent":
            return not any(other.at_work for other in self.runs if other.scope == run.scope)
        return run.scope not in self.leases

    def _begin(self, run: _Run, task: str) -> None:
        self.pid += 1
        run.tries[task] += 1
        run.at_work[task] = self.pid
        self._say(run, task, "begin")

    def _say(self, run: _Run, task: str, kind: Kind) -> None:
        pid = run.at_work[task]
        place = (run.scope, run.dag, f"r{run.number}", task, -1)
        self.events.append(Event(kind, self.time, *place, run.tries[task], pid, f"s{pid}"))
        if kind == "end":
            del run.at_work[task]
            run.open.discard(task)

    def _kill(self, run: _Run, task: str) -> None:
        del run.at_work[task]

    def _finish(self, run: _Run) -> None:
        run.over.append(self.time)
        if self.leases.get(run.scope) is run:
            del self.leases[run.scope]

    def _clear(self, run: _Run) -> None:
        self.clears -= 1
        run.open.add(self.random.choice(run.tasks))
        self.coming.append(run)
