"""A coordinator that nobody needs leaves; one that nobody asks any more begins nothing new."""

from __future__ import annotations

import random
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from cis_provider import paths
from cis_provider.errors import CisError, NodeUnreachable
from cis_provider.files import is_locked
from cis_provider.node.client import AsyncNodeClient, NodeClient
from cis_provider.wire import frames
from cis_provider.wire.messages import Hello, Vouch, Welcome
from cis_provider.wire.server import Server

pytestmark = pytest.mark.integration


def is_there() -> bool:
    """Whether a coordinator lives; asking it would keep it."""
    return is_locked(paths.coordinator_lock())


def log_lines() -> list[str]:
    return paths.coordinator_log().read_text().splitlines()


@pytest.fixture
def impatient(monkeypatch):
    monkeypatch.setenv("CIS_NODE_IDLE_EXIT", "0.3")
    monkeypatch.setenv("CIS_WORKER_IDLE_EXIT", "0.2")


def test_a_coordinator_that_was_started_on_demand_leaves_when_idle(node, impatient):
    node.run("true")
    node.wait_until(lambda: not is_there())
    assert "nobody has needed this node for 0.3s" in log_lines()[-2]
    assert not paths.coordinator_socket().exists()
    assert node.run("echo back", "b").result.output == "back"


def test_one_that_was_started_by_hand_stays(node, impatient):
    process = subprocess.Popen(
        [sys.executable, "-m", "cis_provider.cli.main", "node", "run"], stderr=subprocess.PIPE, text=True
    )
    try:
        node.wait_until(is_there)
        node.run("true")
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(2)
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
        process.stderr.close()


def test_an_agent_at_work_keeps_it(node, impatient):
    session_id = node.submit("sleep 2; echo done").session_id
    pid = node.coordinator_pid()
    time.sleep(1.5)
    assert node.coordinator_pid() == pid
    assert node.ended(session_id).result.output == "done"


def test_a_client_that_stays_connected_keeps_it(node, impatient):
    with NodeClient("test") as client:
        pid = client.status().pid
        time.sleep(1.5)
        assert client.status().pid == pid


def test_nothing_is_lost_when_it_leaves_in_the_moment_it_is_needed(node, monkeypatch):
    monkeypatch.setenv("CIS_NODE_IDLE_EXIT", "0.05")
    monkeypatch.setenv("CIS_WORKER_IDLE_EXIT", "0.1")
    accepted, errors = {}, []
    together = threading.Barrier(3)

    def times_left() -> int:
        return sum("nobody has needed" in line for line in log_lines())

    def work(name: str) -> None:
        for number in range(30):
            try:
                accepted[f"{name}{number}"] = node.submit("echo $CIS_AGENT_ID", f"{name}{number}").session_id
            except CisError as error:
                errors.append(error)
            together.wait(30)
            if times_left() > 2:
                return
            together.wait(30)
            # It looks every half second whether it is needed.
            time.sleep(0.5 + 0.06 * (number % 10) + random.uniform(0, 0.1))

    threads = [threading.Thread(target=work, args=(name,)) for name in "abc"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    for name, session_id in accepted.items():
        assert node.ended(session_id).result.output == name
    assert times_left() > 2


async def test_a_client_that_was_not_greeted_yet_finds_another_coordinator(node, tmp_path):
    # One that has decided to leave still has clients in its queue: they are dropped without a word.
    path = paths.coordinator_socket()
    handled = []

    async def handle(request):
        handled.append(request)

    server = Server(path, Welcome(name="coordinator", node_id="n", pid=1, version="0"), handle)
    await server.start()
    server.refuse()
    with socket.socket(socket.AF_UNIX) as late:
        late.settimeout(5)
        with pytest.raises(OSError):
            late.connect(str(path))
            late.sendall(frames.encode(Hello("late")))
            raise ConnectionResetError if not late.recv(1) else AssertionError("it was greeted")
    await server.close()
    assert handled == []


@pytest.mark.parametrize("answer", ["nothing", "reset"])
async def test_clients_try_again_when_it_hangs_up_instead_of_greeting(node, answer):
    path, seen = paths.coordinator_socket(), []
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    listener.listen()

    def hang_up() -> None:
        for _ in range(2):
            sock, _address = listener.accept()
            if answer == "nothing":
                sock.recv(1 << 16)
            seen.append(sock)
            sock.close()
        listener.close()
        path.unlink()

    thread = threading.Thread(target=hang_up)
    thread.start()
    async with AsyncNodeClient("test"):
        pass
    assert NodeClient("test").status().pid == node.coordinator_pid()
    thread.join(10)
    assert len(seen) == 2


def test_a_client_that_may_start_nobody_says_so(node):
    with pytest.raises(NodeUnreachable, match="no coordinator answers"):
        NodeClient("test", start=False)


# --- orphans ------------------------------------------------------------------------------------------


def test_a_node_that_nobody_asks_finishes_begins_nothing_and_leaves(node, impatient, monkeypatch, tmp_path):
    monkeypatch.setenv("CIS_NODE_LEASE", "0.5")
    monkeypatch.setenv("CIS_DAG_LOCAL_MAX_WORKERS", "1")
    first = node.submit(f"sleep 1.5; echo done > {tmp_path}/first", "a")
    second = node.submit(f"echo done > {tmp_path}/second", "b")
    node.wait_until(lambda: not is_there(), 20)
    assert (tmp_path / "first").exists(), "what was at work was finished"
    assert not (tmp_path / "second").exists(), "nothing began that nobody asks for"
    assert node.ended(second.session_id).result.subtype == "success"
    assert node.ended(first.session_id).result.subtype == "success"


def test_it_goes_on_as_soon_as_somebody_comes_back(node, monkeypatch, tmp_path):
    monkeypatch.setenv("CIS_NODE_LEASE", "0.5")
    monkeypatch.setenv("CIS_DAG_LOCAL_MAX_WORKERS", "1")
    result = paths.session_dir(node.submit("sleep 1", "a").session_id) / "result.json"
    node.submit(f"echo done > {tmp_path}/second", "b")
    node.wait_until(result.exists)
    time.sleep(0.5)
    assert not (tmp_path / "second").exists()
    node.coordinator_pid()
    node.wait_until((tmp_path / "second").exists)


def test_a_session_that_no_airflow_knows_is_ended_after_the_lease(node, monkeypatch):
    monkeypatch.setenv("CIS_NODE_LEASE", "1")
    known, unknown = (node.submit("sleep 60", name).session_id for name in "ab")

    def is_over() -> bool:
        with NodeClient("sweep") as client:
            client.vouch(Vouch([known]))
            return not client.sessions(alive=True, session_id=unknown)

    node.wait_until(is_over)
    with NodeClient("test") as client:
        (ended,) = client.sessions(session_id=unknown)
        (alive,) = client.sessions(session_id=known)
    assert (ended.result.subtype, ended.result.error) == ("killed", "no Airflow has asked for it for 1s")
    assert not alive.has_ended
    assert ended.ended_at - ended.created_at > 1


def test_a_session_that_somebody_watches_is_not(node, monkeypatch, tmp_path: Path):
    monkeypatch.setenv("CIS_NODE_LEASE", "0.4")
    session_id = node.submit("sleep 2; echo done").session_id
    over = threading.Event()

    def sweep() -> None:
        while not over.wait(0.1):
            with NodeClient("sweep") as client:
                client.vouch(Vouch([]))

    thread = threading.Thread(target=sweep)
    thread.start()
    try:
        assert node.ended(session_id).result.output == "done"
    finally:
        over.set()
        thread.join()
