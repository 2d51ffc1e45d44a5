"""
A chain of four short shell agents, and the same chain of BashOperators, one after the other on one Airflow.

Wall: from the run's creation to its end, by Airflow's clock. CPU: all of Airflow, PostgreSQL, coordinator,
worker and agents, from before the trigger to 1.5 s after the end; what Airflow uses while idle is in it.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

from kit.airflow import SETTLE, Airflow, Ran, write_cis_file, write_peers
from kit.rows import Row, Scale, Target, spread

_STEPS = 4
_OURS, _PEER = "bench-chain", "peer-chain"


def install() -> None:
    """Put the two DAGs into this home."""
    commands = {f"step-{number}": f"echo step {number}" for number in range(1, _STEPS + 1)}
    names = list(commands)
    agents = [
        {"id": name, "type": "shell", "command": command, "deps": names[place - 1 : place] if place else []}
        for place, (name, command) in enumerate(commands.items())
    ]
    write_cis_file(_OURS, agents)
    write_peers("peer_chain", {_PEER: commands})


def measure(airflow: Airflow, scale: Scale) -> list[Row]:
    """Interleaved, so that what else the machine does meets both."""
    airflow.unpause([_OURS, _PEER])
    ran: dict[str, list[Ran]] = {_PEER: [], _OURS: []}
    for dag_id in ran:
        airflow.run(dag_id)  # the first of each starts what is started once
    idle = airflow.idle_share()
    for _ in range(scale.of(11, 3)):
        for dag_id, runs in ran.items():
            runs.append(airflow.run(dag_id))
    failed = sum(one.failed for runs in ran.values() for one in runs)
    if failed:
        raise RuntimeError(f"{failed} of the chains failed")

    def wall(dag_id: str) -> float:
        return median(one.seconds for one in ran[dag_id])

    def cpu(dag_id: str) -> float:
        return median(one.cpu for one in ran[dag_id])

    def busy(dag_id: str) -> float:
        return median(one.cpu - idle * (one.seconds + SETTLE) for one in ran[dag_id])

    def range_of(field: str) -> str:
        ours, peer = ([getattr(one, field) for one in ran[dag_id]] for dag_id in (_OURS, _PEER))
        return f"median of {len(ours)}, interleaved; ours {spread(ours)}, the peer's {spread(peer)}"

    return [
        Row("chain of 4: wall", wall(_OURS), "s", wall(_PEER), Target.RATIO_AT_MOST, 1.3, range_of("seconds")),
        Row("chain of 4: CPU", cpu(_OURS), "s", cpu(_PEER), Target.RATIO_AT_MOST, 1.5,
            f"{range_of('cpu')}; ours: {parts_of(ran[_OURS])}; the peer's: {parts_of(ran[_PEER])}"),
        Row("chain of 4: CPU beyond that of an idle Airflow", busy(_OURS), "s", busy(_PEER),
            Target.RATIO_AT_MOST, 1.5, f"an idle Airflow uses {idle:.2f} CPU-s in a second"),
    ]  # fmt: skip


def parts_of(ran: Sequence[Ran]) -> str:
    """Where the CPU time went, in the middle of some runs; what used next to nothing is left out."""
    middle = {name: median(one.parts.get(name, 0.0) for one in ran) for name in ran[-1].parts}
    return ", ".join(f"{name} {seconds:.2f}" for name, seconds in middle.items() if seconds >= 0.01)
