"""
A hundred runs of a DAG with one short agent, triggered at once, and a hundred with one BashOperator.

Both DAGs allow 16 runs at once; the pool of ours has 16 slots, Airflow's default pool 128.
"""

from __future__ import annotations

from kit.airflow import Airflow, Ran, write_cis_file, write_peers
from kit.rows import Row, Scale, Target, spread

_OURS, _PEER = "bench-one", "peer-one"
_AT_ONCE = 16


def install() -> None:
    """Put the two DAGs into this home."""
    agents = [{"id": "one", "type": "shell", "command": "echo one"}]
    write_cis_file(_OURS, agents, max_active_runs=_AT_ONCE, max_workers=_AT_ONCE)
    write_peers("peer_one", {_PEER: {"one": "echo one"}}, max_active_runs=_AT_ONCE)


def measure(airflow: Airflow, scale: Scale) -> list[Row]:
    """Twice each, interleaved; the faster one of the two counts."""
    airflow.unpause([_OURS, _PEER])
    ran: dict[str, list[Ran]] = {_PEER: [], _OURS: []}
    for dag_id in ran:
        airflow.run(dag_id)
    count = scale.of(100, 20)
    for _ in range(2):
        for dag_id, runs in ran.items():
            runs.append(airflow.run(dag_id, count))
    paces = {dag_id: [60 * count / one.seconds for one in runs[-2:]] for dag_id, runs in ran.items()}
    ours, peer = (max(paces[dag_id]) for dag_id in (_OURS, _PEER))
    failed = sum(one.failed for one in ran[_OURS])
    cpu = {dag_id: min(one.cpu for one in runs) / count for dag_id, runs in ran.items()}
    return [
        Row(f"{count} runs of one agent: failed", failed, "runs", target=Target.AT_MOST, limit=0,
            note=f"of {2 * count}"),
        Row(f"{count} runs of one agent: pace", ours, "runs/min", target=Target.AT_LEAST, limit=300),
        Row(f"{count} runs of one agent: pace by the peer's", ours, "runs/min", peer, Target.RATIO_AT_LEAST, 0.7,
            f"the better of two, interleaved; ours {spread(paces[_OURS])}, the peer's {spread(paces[_PEER])}"),
        Row(f"{count} runs of one agent: CPU for a run", cpu[_OURS], "s", cpu[_PEER]),
    ]  # fmt: skip
