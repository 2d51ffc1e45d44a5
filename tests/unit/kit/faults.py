"""Faults of each kind, planted into a legal history. Limits that a fault has nothing to do with are lifted."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from random import Random
from typing import TypeVar

from tests.kit.checker import Fault, Limits, Submission
from tests.kit.history import Event
from tests.unit.kit.schedule import STEP, Scene, fullest

T = TypeVar("T")


class NotPlantable(Exception):
    """This history has no place for that fault."""


def plant(fault: Fault, scene: Scene, random: Random) -> Scene:
    """
    The same with one fault of a kind.

    :raises NotPlantable: There is no place for it.
    """
    return _PLANTS[fault](replace(scene, limits=Limits()), random)


def _strange(scene: Scene, random: Random) -> Scene:
    event = _pick(random, scene.events)
    wrong = [replace(event, agent="nobody"), replace(event, run="none")]
    wrong += [replace(event, kind="beat", session="unheard"), replace(event, kind="begin")]
    return _with(scene, _pick(random, wrong))


def _lost(scene: Scene, random: Random) -> Scene:
    task = _pick(random, scene.events).task
    return replace(scene, events=[one for one in scene.events if one.task != task or one.kind != "end"])


def _twice(scene: Scene, random: Random) -> Scene:
    at_work = _pick(random, [event for event in scene.events if event.kind != "begin"])
    second = replace(at_work, kind="begin", time=at_work.time - STEP // 2, pid=1, session="second")
    return _with(scene, second)


def _beside(exclusive: str) -> Callable[[Scene, Random], Scene]:
    """Somebody else in the scope, in the middle of an attempt."""

    def _plant(scene: Scene, random: Random) -> Scene:
        inside = [
            event
            for event in scene.events
            if event.kind != "begin" and scene.run_of(event).exclusive == exclusive
        ]
        event = _pick(random, inside)
        return _with_guest(scene, replace(event, time=event.time - STEP // 2))

    return _plant


def _order(scene: Scene, random: Random) -> Scene:
    begins: dict[tuple[str, str], int] = {}
    for event in scene.events:
        begins.setdefault(event.task[:2], event.time)
    alone = [run for run in scene.runs if run.exclusive == "run"]
    late = [
        run
        for run in alone
        if any(
            other.scopes == run.scopes and begins[other.dag, other.run] < begins[run.dag, run.run]
            for other in alone
        )
    ]
    waited = _pick(random, late)
    runs = [replace(run, priority=-1, asked=1) if run is waited else run for run in scene.runs]
    return replace(scene, runs=runs)


def _node(scene: Scene, random: Random) -> Scene:
    most, event = fullest(scene, lambda event: "")[""]
    return _with_guest(replace(scene, limits=Limits(node=most)), replace(event, scope="project:new"))


def _runtime(scene: Scene, random: Random) -> Scene:
    most, event = fullest(scene, lambda event: "")[""]
    limits = Limits(runtimes={"shell": most})
    return _with_guest(replace(scene, limits=limits), replace(event, scope="project:new"))


def _account(scene: Scene, random: Random) -> Scene:
    found = fullest(scene, lambda event: scene.run_of(event).account)
    name = _pick(random, sorted(found))
    most, event = found[name]
    limits = Limits(accounts={name: most})
    return _with_guest(replace(scene, limits=limits), replace(event, scope="project:new"), account=name)


def _scope(scene: Scene, random: Random) -> Scene:
    found = fullest(scene, lambda event: event.scope)
    name = _pick(random, sorted(set(found) - {"type:c"}))
    most, event = found[name]
    # The global one has no limit but one of its own.
    default = name != "global" and random.random() < 0.5
    limits = (
        Limits(scope=most, scopes=dict.fromkeys(set(found) - {name}, 99))
        if default
        else Limits(scopes={name: most})
    )
    return _with_colleague(replace(scene, limits=limits), event)


def _dag(scene: Scene, random: Random) -> Scene:
    found = fullest(scene, lambda event: event.dag)
    name = _pick(random, sorted(name for name in found if not name.startswith("agent")))
    most, event = found[name]
    return _with_colleague(replace(scene, limits=Limits(dags={name: most})), event)


_PLANTS: dict[Fault, Callable[[Scene, Random], Scene]] = {
    Fault.STRANGE: _strange,
    Fault.LOST: _lost,
    Fault.TWICE: _twice,
    Fault.NODE_LIMIT: _node,
    Fault.SCOPE_LIMIT: _scope,
    Fault.DAG_LIMIT: _dag,
    Fault.RUNTIME_LIMIT: _runtime,
    Fault.ACCOUNT_LIMIT: _account,
    Fault.TURN: _beside("run"),
    Fault.ALONE: _beside("agent"),
    Fault.ORDER: _order,
}


def _pick(random: Random, of: Sequence[T]) -> T:
    if not of:
        raise NotPlantable
    return random.choice(of)


def _with(scene: Scene, *events: Event) -> Scene:
    return replace(scene, events=[*scene.events, *events])


def _with_guest(scene: Scene, at: Event, account: str = "") -> Scene:
    """A moment's work of another run, there and then."""
    run = Submission("guests", "guest", {("a", -1)}, account=account, over=(at.time + STEP,))
    begin = Event("begin", at.time, at.scope, "guests", "guest", "a", -1, 1, 1, "guest")
    return _with(replace(scene, runs=[*scene.runs, run]), begin, replace(begin, kind="end", time=at.time + 1))


def _with_colleague(scene: Scene, at: Event) -> Scene:
    """A moment's work of another agent of the run that is at work."""
    run = scene.run_of(at)
    runs = [replace(one, tasks={*one.tasks, ("more", -1)}) if one is run else one for one in scene.runs]
    begin = replace(at, kind="begin", agent="more", pid=1, session="more")
    return _with(replace(scene, runs=runs), begin, replace(begin, kind="end", time=at.time + 1))
