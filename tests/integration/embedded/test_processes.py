"""Starting and ending processes, and the small log server."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from cis_provider import paths
from cis_provider.embedded import logserver, process, sessions
from cis_provider.embedded.board import Board
from cis_provider.embedded.component import Component
from cis_provider.embedded.state import Phase, Process, State, boot_id, read
from cis_provider.files import private_folder

pytestmark = pytest.mark.integration

# A leader with a child in another process group and one in a session of its own; then it sleeps.
_FAMILY = """
import os, subprocess, sys, time
{first}
same = subprocess.Popen(["sleep", "60"], process_group=0)
away = subprocess.Popen(["sleep", "60"], start_new_session=True)
print(same.pid, away.pid, flush=True)
time.sleep(60)
"""


@pytest.fixture(autouse=True)
def _home(cis_home: Path) -> None:
    private_folder(paths.airflow_dir())


@pytest.fixture
def strays() -> Iterator[list[int]]:
    """Pids that a test leaves alive on purpose."""
    found: list[int] = []
    yield found
    for pid in found:
        os.kill(pid, signal.SIGKILL)


def until(condition: Callable[[], object], seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.01)


def alive(pid: int) -> bool:
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


def family(name: str, first: str = "") -> tuple[subprocess.Popen[bytes], Process, int, int]:
    command = [sys.executable, "-c", _FAMILY.format(first=first)]
    child, leader = process.spawn(name, command, dict(os.environ))
    log = paths.airflow_dir() / "logs" / "components" / f"{name}.log"
    until(lambda: len(log.read_text().split()) == 2)
    same, away = (int(word) for word in log.read_text().split())
    return child, leader, same, away


def test_ending_reaches_every_process_group_but_not_what_left_on_purpose(strays: list[int]) -> None:
    child, leader, same, away = family("one")
    strays.append(away)

    assert sessions.end([leader], first=signal.SIGTERM, grace=2, timeout=5) == []

    assert child.wait(1) == -signal.SIGTERM
    assert not alive(same)
    assert alive(away)


def test_one_that_ignores_the_question_is_killed(strays: list[int]) -> None:
    ignore = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)"
    child, leader, same, away = family("stubborn", ignore)
    strays.append(away)

    assert sessions.end([leader], first=signal.SIGTERM, grace=0.2, timeout=5) == []

    assert child.wait(1) == -signal.SIGKILL
    assert not alive(same)


def test_what_a_dead_leader_left_behind_is_found(strays: list[int]) -> None:
    child, leader, same, away = family("dead")
    strays.append(away)
    child.kill()
    child.wait()

    assert sessions.members([leader]) == [same]
    assert sessions.end([leader], first=signal.SIGTERM, grace=1, timeout=5) == []
    assert not alive(same)


def test_a_pid_that_was_given_out_again_is_left_alone(strays: list[int]) -> None:
    child, leader, same, away = family("other")
    strays += [child.pid, same, away]
    before = Process(pid=leader.pid, started=leader.started - 100)

    assert sessions.end([before], first=signal.SIGKILL, grace=0.1, timeout=1) == []

    assert alive(child.pid) and alive(same)


def test_a_child_ends_when_its_starter_is_killed() -> None:
    code = (
        "import os, time\n"
        "from cis_provider.embedded import process\n"
        "child, _ = process.spawn('child', ['sleep', '60'], {'PATH': os.environ['PATH']})\n"
        "print(child.pid, flush=True)\n"
        "time.sleep(60)\n"
    )
    starter = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert starter.stdout
    pid = int(starter.stdout.readline())
    until(lambda: psutil.Process(pid).name() == "sleep")

    starter.kill()
    starter.wait()

    until(lambda: not alive(pid))


async def test_a_component_that_dies_comes_back_and_the_board_knows() -> None:
    board = Board(State(Phase.STARTING, boot=boot_id()))
    component = Component("sleeper", ["sleep", "60"], {"PATH": os.environ["PATH"]}, board)
    component.start()
    first = component.pid
    os.kill(first, signal.SIGKILL)

    delay = await asyncio.wait_for(component.ended(), 5)
    component.start()

    assert delay == 0.5
    state = read()
    assert state is not None
    found = state.processes["sleeper"]
    assert (found.restarts, found.last_exit) == (1, "killed by SIGKILL")
    assert found.pid == component.pid != first
    await asyncio.to_thread(sessions.end, [found], first=signal.SIGTERM, grace=2, timeout=2)


def test_a_persons_own_process_that_may_not_be_looked_at_is_never_taken_for_the_database(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_path: Path) -> Path:
        raise PermissionError

    monkeypatch.setattr(Path, "readlink", refuse)

    assert sessions.at_work_in(tmp_path) == []  # this process, for one, has the same user


@pytest.mark.parametrize("turns", range(5))
async def test_a_wait_for_a_component_can_be_cancelled_also_when_another_ends_just_then(turns: int) -> None:
    board = Board(State(Phase.STARTING, boot=boot_id()))
    component = Component("sleeper", ["sleep", "60"], {"PATH": os.environ["PATH"]}, board)
    component.start()
    waiting = asyncio.create_task(component.ended())
    await asyncio.sleep(0.05)

    os.kill(os.getpid(), signal.SIGCHLD)
    for _ in range(turns):
        await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.wait({waiting}, timeout=2)

    assert waiting.cancelled()
    found = board.state.processes["sleeper"]
    await asyncio.to_thread(sessions.end, [found], first=signal.SIGTERM, grace=2, timeout=2)


async def test_the_log_server_says_that_there_is_nothing_more_and_only_on_loopback() -> None:
    server = await logserver.serve(0)
    address, port = server.sockets[0].getsockname()
    reader, writer = await asyncio.open_connection(address, port)
    writer.write(b"GET /log/dag_id=a/attempt=1.log HTTP/1.1\r\nHost: x\r\n\r\n")

    answer = await asyncio.wait_for(reader.read(), 5)

    assert address == "127.0.0.1"
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"Content-Length: 0\r\n" in answer
    writer.close()
    server.close()


async def test_the_log_server_survives_a_client_that_makes_no_sense() -> None:
    server = await logserver.serve(0)
    address, port = server.sockets[0].getsockname()
    for words in (b"", b"x" * 100_000):
        _, writer = await asyncio.open_connection(address, port)
        writer.write(words)
        writer.close()
    reader, writer = await asyncio.open_connection(address, port)
    writer.write(b"GET / HTTP/1.1\r\n\r\n")

    assert (await asyncio.wait_for(reader.read(), 5)).startswith(b"HTTP/1.1 200")
    writer.close()
    server.close()


def test_a_log_that_grows_is_cut_while_it_is_being_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "_LARGE_LOG", 1000)
    with process.open_log("long") as log:
        log.write(b"a" * 2000)
        log.flush()
        process.shorten_logs()
        log.write(b"b")
    folder = paths.airflow_dir() / "logs" / "components"

    assert (folder / "long.log").read_bytes() == b"b"
    assert (folder / "long.log.1").stat().st_size == 2000
