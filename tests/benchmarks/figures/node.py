"""
The coordinator alone, without Airflow: fifty starters at once, the first agent of a new scope, submits, a long queue.

The starters are fifty processes that need the node in the same moment, forked from one that has our modules already,
as tasks are. Each must find a coordinator, and one of them must start it.

A submit is on disk, synced, before it is answered. The peer of its time is an ``INSERT`` of as many bytes with a
commit into SQLite on the same disk (WAL, ``synchronous=FULL``), without a socket or another process between.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from statistics import median, quantiles

import msgspec
from kit.home import eventually, temporary_home
from kit.rows import Row, Scale, Target, spread

from cis_provider import paths
from cis_provider.model.session import SessionKey, SessionRecord, SessionRequest
from cis_provider.node.client import NodeClient
from cis_provider.wire.messages import NotYet

_SCOPE = "project:bench"
_STARTERS = 50


def measure(scale: Scale) -> list[Row]:
    """Each in homes of its own."""
    return [*_race(scale), *_first_of_scope(scale), *_submits(scale), *_long_queue(scale)]


def _race(scale: Scale) -> list[Row]:
    seconds, started = [], []
    for _ in range(scale.of(7, 3)):
        with temporary_home():
            seconds.append(max(_join_at_once(_STARTERS)))
            started.append(_coordinators_started())
    return [
        Row(f"{_STARTERS} starters at once: until all have a coordinator", median(seconds), "s",
            target=Target.AT_MOST, limit=2, note=f"median of {len(seconds)}, {spread(seconds)}"),
        Row(f"{_STARTERS} starters at once: coordinator processes started", max(started), "processes",
            target=Target.AT_MOST, limit=1, note=f"the most of {len(started)} races"),
    ]  # fmt: skip


def _join_at_once(count: int) -> list[float]:
    """Seconds that each of so many processes needed to join the node."""
    go_read, go_write = os.pipe()
    said_read, said_write = os.pipe()
    children = []
    for _ in range(count):
        if not (child := os.fork()):
            _join(go_read, go_write, said_write)
        children.append(child)
    os.close(go_read)
    os.close(said_write)
    time.sleep(0.2)  # all of them wait for the end of the pipe now
    began = time.monotonic()
    os.close(go_write)
    with os.fdopen(said_read) as said:
        joined = [float(line) - began for line in said]
    for child in children:
        os.waitpid(child, 0)
    if len(joined) != count:
        raise RuntimeError(f"{count - len(joined)} of {count} starters did not find a coordinator")
    return joined


def _join(go_read: int, go_write: int, said: int) -> None:
    """In a child: wait for the signal, join, say when. Never returns."""
    try:
        os.close(go_write)
        os.read(go_read, 1)
        with NodeClient("bench", timeout=30):
            os.write(said, f"{time.monotonic()}\n".encode())
    finally:
        os._exit(0)


def _coordinators_started() -> int:
    """Each of them says one of two things in the log: that it is ready, or that there is one already."""
    lines = paths.coordinator_log().read_text().splitlines()
    return sum("is ready (pid" in line or "has a coordinator already" in line for line in lines)


def _first_of_scope(scale: Scale) -> list[Row]:
    with temporary_home(), NodeClient("bench") as node:
        _run(node, _request("first"))
        cold = [_until_at_work(node, f"project:new-{number}") for number in range(scale.of(15, 5))]
        warm = [_until_at_work(node, "global") for _ in range(scale.of(15, 5))]
    return [
        Row("first agent of a new scope: from the submit to its program", median(cold), "s", median(warm),
            Target.AT_MOST, 0.5,
            f"median of {len(cold)}, {spread(cold)}; the peer's number: ours, in a scope whose worker runs"),
    ]  # fmt: skip


def _until_at_work(node: NodeClient, scope: str) -> float:
    began = time.time()
    return _run(node, _request(f"a-{time.time_ns()}", scope=scope)).started_at - began


def _submits(scale: Scale) -> list[Row]:
    counts = {"a few": scale.of(50, 20), "many": scale.of(500, 100)}
    return [row for name, count in counts.items() for row in _submits_into(name, count)]


def _submits_into(name: str, count: int) -> list[Row]:
    """One after the other, none of which begins; after each the peer's."""
    ours: list[float] = []
    peer: list[float] = []
    with temporary_home(CIS_DAG_LOCAL_MAX_WORKERS="1"), NodeClient("bench") as node, _sqlite() as insert:
        _submit(node, _request("holder", "sleep 600"))
        data = msgspec.msgpack.encode(_request("size"))
        for number in range(count):
            request = _request(f"waits-{number}")
            ours.append(_milliseconds(lambda request=request: node.submit(request)))
            peer.append(_milliseconds(lambda: insert(data)))
    note = f"{count} of them, into a queue that grows by all of them"
    return [
        Row(f"a submit, {name} queued: p50", median(ours), "ms", median(peer), Target.AT_MOST, 10, note),
        Row(f"a submit, {name} queued: p99", _percentile(ours, 99), "ms", _percentile(peer, 99), Target.AT_MOST, 50),
    ]  # fmt: skip


@contextmanager
def _sqlite() -> Iterator[Callable[[bytes], object]]:
    """One row in, committed, synced."""
    database = sqlite3.connect(paths.cis_home() / "peer.db", isolation_level=None)
    database.execute("PRAGMA journal_mode=WAL")
    database.execute("PRAGMA synchronous=FULL")
    database.execute("CREATE TABLE request (id INTEGER PRIMARY KEY, data BLOB NOT NULL)")
    try:
        yield lambda data: database.execute("INSERT INTO request (data) VALUES (?)", (data,))
    finally:
        database.close()


def _long_queue(scale: Scale) -> list[Row]:
    queued, asked = scale.of(1000, 200), scale.of(1000, 200)
    with temporary_home(CIS_WORKER_MAX_CONCURRENT_TASKS="4"), NodeClient("bench") as node:
        holders = [_submit(node, _request(f"holder-{number}", "sleep 600")) for number in range(4)]
        for number in range(queued):
            _submit(node, _request(f"waits-{number}", "sleep 0.1"))
        eventually(lambda: node.status().queued == queued, 60, f"{queued} sessions wait", every=0.2)
        still = [_milliseconds(_status) for _ in range(asked)]
        for record in holders:
            node.end(record.session_id, "room for others")
        moving = []
        for _ in range(asked):
            moving.append(_milliseconds(_status))
            time.sleep(0.01)  # or it would be over before anything has moved
        left = node.status().queued
    note = f"{asked} times, each on a connection of its own"
    return [
        Row(f"{queued} sessions queued in one scope: p99 of status", _percentile(still, 99), "ms",
            target=Target.AT_MOST, limit=20, note=f"p50 {median(still):.2g} ms; {note}"),
        Row(f"{queued} sessions queued in one scope, 4 at work at a time: p99 of status", _percentile(moving, 99), "ms",
            target=Target.AT_MOST, limit=20,
            note=f"p50 {median(moving):.2g} ms, the slowest {max(moving):.0f} ms; {note}, {left} left in the end"),
    ]  # fmt: skip


def _status() -> None:
    with NodeClient("bench", start=False) as node:
        node.status()


def _submit(node: NodeClient, request: SessionRequest) -> SessionRecord:
    answer = node.submit(request)
    assert not isinstance(answer, NotYet), answer
    return answer.record


def _run(node: NodeClient, request: SessionRequest) -> SessionRecord:
    record = _submit(node, request)
    with NodeClient("bench") as watching:
        *_, ended = watching.watch(record.session_id, timeout=60)
    if ended.result is None or ended.result.is_error:
        raise RuntimeError(f"{request.command!r}: {ended.result}")
    return ended


def _request(task_id: str, command: str = "true", scope: str = _SCOPE) -> SessionRequest:
    return SessionRequest(
        key=SessionKey("bench", "run", task_id, -1),
        try_number=1,
        max_tries=0,
        agent_id=task_id,
        agent_type="shell",
        command=command,
        scope=scope,
    )


def _milliseconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return 1000 * (time.perf_counter() - began)


def _percentile(values: Sequence[float], percent: int) -> float:
    return quantiles(values, n=100, method="inclusive")[percent - 1]
