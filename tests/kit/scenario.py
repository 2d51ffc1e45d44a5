"""
Many scopes, each with a few DAGs: the CIS files, the rounds of runs, and what the checker must know of them. Pure.

An agent of it is ``agent.sh``: it writes its own history.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

from tests.kit.checker import Exclusive, Limits

#: Settings of the node, all of which the runs below reach; idle workers leave soon, and for others.
NODE, SCOPE, RUNTIME, ACCOUNT = 8, 3, 8, 2
CONFIG = f"""
[dag.local]
max_workers = {NODE}
[worker]
max_concurrent_tasks = {SCOPE}
max_per_node = 12
idle_exit = 4
[limits.runtime]
shell = {RUNTIME}
[limits.account]
work = {ACCOUNT}
"""

#: Agents at work at once in a narrow fan, fewer than its scope has places, and in a chain or wide fan: more.
_NARROW, _WIDE = 2, 4

#: Tries of an agent, all of which a killer may take.
_RETRIES = 30


@dataclass(frozen=True)
class StressDag:
    """
    One CIS file.

    :param deps: Agents, and those that each waits for.
    :param elsewhere: Agents in another scope than the DAG's; under ``exclusive: run`` a run needs both.
    :param runs: Runs of it in a round.
    """

    name: str
    scope: str
    exclusive: Exclusive
    priority: int
    deps: dict[str, Sequence[str]]
    runs: int
    max_workers: int
    account: str = ""
    beats: dict[str, int] = field(default_factory=dict)
    stubborn: frozenset[str] = frozenset()
    elsewhere: dict[str, str] = field(default_factory=dict)

    @property
    def turn(self) -> tuple[str, ...]:
        """Scopes that a run of it wants for itself alone."""
        return tuple(sorted({self.scope, *self.elsewhere.values()})) if self.exclusive == "run" else ()

    def cis_file(self, script: Path, history: Path) -> dict[str, Any]:
        """What stands in it."""
        return {
            "name": self.name,
            "scope": self.scope,
            "exclusive": self.exclusive,
            "max_workers": self.max_workers,
            "max_active_runs": 100,
            "defaults": {
                "type": "shell",
                "priority": f"p{self.priority}",
                "retries": _RETRIES,
                "retry_delay": 1,
                **({"account": self.account} if self.account else {}),
            },
            "agents": [
                {
                    "id": agent,
                    "deps": list(deps),
                    "command": self._command(agent, script, history),
                    "scope": self.elsewhere.get(agent, self.scope),
                }
                for agent, deps in self.deps.items()
            ],
        }

    def _command(self, agent: str, script: Path, history: Path) -> str:
        stubborn = " stubborn" if agent in self.stubborn else ""
        return f"exec bash {script} {history} {self.beats[agent]}{stubborn}"


def limits(dags: Sequence[StressDag], less: int = 0) -> Limits:
    """
    What must hold at every moment.

    :param less: For limits that are broken by a history that reaches the real ones.
    """
    return Limits(
        node=NODE - less,
        scope=SCOPE - less,
        dags={dag.name: dag.max_workers - less for dag in dags},
        runtimes={"shell": RUNTIME - less},
        accounts={"work": ACCOUNT - less},
    )


def stress_dags(scopes: int, random: Random) -> list[StressDag]:
    """
    A chain of three, twice in a round, and a fan of four for each scope: ten tasks. Fans of every other scope are
    narrow: their DAG is what limits them, and all others' scope is.

    Runs of most scopes take turns. Three of them are otherwise: in one, only numbers limit; in one, agents that
    only want a place come between runs that want the scope for themselves; one belongs to an agent at a time. The
    fan of the last scope has an agent in the first one, too.
    """
    return [dag for number in range(1, scopes + 1) for dag in _of_scope(number, scopes, random)]


def _of_scope(number: int, scopes: int, random: Random) -> Iterator[StressDag]:
    modes: dict[int, tuple[Exclusive, Exclusive]] = {
        scopes - 3: ("no", "no"),
        scopes - 2: ("run", "no"),
        scopes - 1: ("agent", "agent"),
    }
    chain_mode, fan_mode = modes.get(number, ("run", "run"))
    name = f"p{number:02}"
    chain: dict[str, Sequence[str]] = {"a": (), "b": ("a",), "c": ("b",)}
    wide: dict[str, Sequence[str]] = {"w": (), "x": (), "y": (), "z": ()}
    narrow: dict[str, Sequence[str]] = {"w": (), "x": ("w",), "y": ("w",), "z": ("w",)}
    fan, most_in_fan = (wide, _WIDE) if number % 2 else (narrow, _NARROW)
    for shape, deps, mode, runs, most in (
        ("chain", chain, chain_mode, 2, _WIDE),
        ("fan", fan, fan_mode, 1, most_in_fan),
    ):
        yield StressDag(
            f"{name}-{shape}",
            f"project:{name}",
            mode,
            random.randint(0, 3),
            deps,
            runs,
            most,
            account="work" if number % 4 == 0 else "",
            beats={agent: random.randint(5, 15) for agent in deps},
            stubborn=frozenset(agent for agent in deps if random.random() < 0.5),
            elsewhere={"z": "project:p01"} if number == scopes and shape == "fan" else {},
        )
