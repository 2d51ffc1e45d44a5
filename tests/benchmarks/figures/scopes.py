"""
Twenty DAGs of twenty projects, one agent each, triggered at once; and twenty DAGs with one BashOperator each.

Each project has its own scope: its own worker process, pool, folders and turn. Cold: none of the workers runs yet.
The agents sleep for two seconds. A BashOperator keeps its slot meanwhile, of which Airflow has eight here; an agent
waits in the triggerer. Wall: from the first run's creation to the last one's end, by Airflow's clock.
"""

from __future__ import annotations

from statistics import median

from kit.airflow import Airflow, Ran, write_cis_file, write_peers
from kit.home import node_processes
from kit.rows import Row, Scale, Target, spread

_COUNT = 20
_COMMAND = "sleep 2"
_OURS = [f"bench-scope-{number:02}" for number in range(_COUNT)]
_PEERS = [f"peer-scope-{number:02}" for number in range(_COUNT)]


def install() -> None:
    """Put the forty DAGs into this home."""
    for dag_id in _OURS:
        agents = [{"id": "one", "type": "shell", "command": _COMMAND}]
        write_cis_file(dag_id, agents, scope=f"project:{dag_id}")
    write_peers("peer_scopes", {dag_id: {"one": _COMMAND} for dag_id in _PEERS})


def measure(airflow: Airflow, scale: Scale) -> list[Row]:
    """The first of ours finds no worker; afterwards interleaved."""
    airflow.unpause([*_OURS, *_PEERS])
    airflow.run_each(_PEERS)
    cold = airflow.run_each(_OURS)
    workers = sum(name.startswith("worker-project-bench-scope-") for name in node_processes())
    ours: list[Ran] = []
    peers: list[Ran] = []
    for _ in range(scale.of(5, 2)):
        peers.append(airflow.run_each(_PEERS))
        ours.append(airflow.run_each(_OURS))
    if failed := sum(one.failed for one in (cold, *ours, *peers)):
        raise RuntimeError(f"{failed} of the runs failed")
    wall, peer = ([one.seconds for one in ran] for ran in (ours, peers))
    return [
        Row(f"{_COUNT} scopes side by side, no worker there: wall", cold.seconds, "s", median(peer),
            Target.RATIO_AT_MOST, 1.5, f"once; {workers} workers afterwards"),
        Row(f"{_COUNT} scopes side by side: wall", median(wall), "s", median(peer), Target.RATIO_AT_MOST, 1.25,
            f"median of {len(wall)}, interleaved; ours {spread(wall)}, the peer's {spread(peer)}"),
        Row(f"{_COUNT} scopes side by side: CPU", median(one.cpu for one in ours), "s",
            median(one.cpu for one in peers), note="all of Airflow and the node"),
    ]  # fmt: skip
