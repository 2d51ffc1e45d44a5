"""Scope workers on a real node: folders of their own, limited places, successors, and what is swept."""

from __future__ import annotations

import os
import signal
import socket
import threading
from pathlib import Path

import pytest

from cis_provider import __version__, paths
from cis_provider.errors import UsageError
from cis_provider.files import is_locked, lock_for_life
from cis_provider.node.client import NodeClient
from cis_provider.worker import leftovers, processes

pytestmark = pytest.mark.integration

GUEST = {"exclusive": "no"}


def submit(node, command, scope, task_id="a"):
    return node.submit(command, task_id, scope=scope, run_id=scope, **GUEST)


def run(node, command, scope, task_id="a"):
    return node.ended(submit(node, command, scope, task_id).session_id)


def running(record) -> bool:
    return record.state == "running" and record.pid > 0


def waiting(record) -> bool:
    return bool(record.waiting_for)


def stop_worker(name, *, now=False):
    with NodeClient("test") as client:
        client.stop_worker(name, now=now)


def test_scopes_whose_names_look_like_files_of_others_do_not_meet(node, workers):
    scopes = ["project:a", "project:a.lock", "project:a.log", "project:a.log.1", "project:a-sessions"]
    started = [submit(node, "echo $CIS_SCOPE; sleep 60", scope) for scope in scopes]
    for record in started:
        node.wait(record.session_id, running)
    found = workers()
    assert sorted(found) == sorted(scopes)
    assert len({worker.pid for worker in found.values()}) == len(scopes)
    for worker in found.values():
        assert Path(f"/proc/{worker.pid}/cwd").resolve() == paths.worker_dir(worker.name).resolve()
        assert paths.worker_lock(worker.name).read_text().split() == [str(worker.pid)]
        assert f"{worker.name} is ready" in paths.worker_log(worker.name).read_text()
        assert len(list(paths.worker_notes(worker.name).iterdir())) == 1


def test_a_worker_that_leaves_takes_its_folder_along_and_leaves_its_log(node, workers):
    run(node, "true", "project:a")
    stop_worker("worker-project-a")
    node.wait_until(lambda: not workers())
    assert list(paths.workers_dir().iterdir()) == []
    assert not paths.worker_socket("worker-project-a").exists()
    assert "leaves" in paths.worker_log("worker-project-a").read_text()


def test_a_long_log_is_begun_anew(node, workers):
    log = paths.worker_log("worker-global")
    log.parent.mkdir(parents=True)
    log.write_bytes(b"x" * (5 << 20) + b"end\n")
    node.run("true")
    assert "worker-global is ready" in log.read_text()
    assert log.stat().st_size < 10_000
    assert log.with_name("worker-global.log.1").read_bytes().endswith(b"end\n")


# --- places -------------------------------------------------------------------------------------------


def test_the_worker_that_is_idle_for_longest_makes_room(node, workers, monkeypatch):
    monkeypatch.setenv("CIS_WORKER_MAX_PER_NODE", "2")
    run(node, "true", "project:a")
    run(node, "true", "project:b")
    run(node, "true", "project:a", "again")
    kept = workers()["project:a"].pid
    assert run(node, "echo there", "project:c").result.output == "there"
    found = workers()
    assert sorted(found) == ["project:a", "project:c"]
    assert found["project:a"].pid == kept


def test_a_session_waits_for_a_worker_when_none_is_idle(node, workers, monkeypatch):
    monkeypatch.setenv("CIS_WORKER_MAX_PER_NODE", "2")
    busy = [submit(node, "sleep 60", scope) for scope in ("project:a", "project:b")]
    for record in busy:
        node.wait(record.session_id, running)
    late = submit(node, "echo there", "project:c")
    record = node.wait(late.session_id, waiting)
    assert record.waiting_for == "a place for another scope worker (2 run, none is idle)"
    assert run(node, "echo here", "project:a", "other").result.output == "here"
    assert sorted(workers()) == ["project:a", "project:b"]
    with NodeClient("test") as client:
        client.end(busy[1].session_id, "enough")
    assert node.ended(late.session_id).result.output == "there"
    assert sorted(workers()) == ["project:a", "project:c"]


def test_many_scopes_at_once_never_have_more_workers_than_there_are_places(node, monkeypatch):
    monkeypatch.setenv("CIS_WORKER_MAX_PER_NODE", "3")
    most, over = [0], threading.Event()

    def count() -> None:
        while not over.wait(0.005):
            locked = {name for name in leftovers.known_workers() if is_locked(paths.worker_lock(name))}
            # Those that are still there have all been there in between.
            both = [name for name in locked if is_locked(paths.worker_lock(name))]
            most[0] = max(most[0], len(both))

    thread = threading.Thread(target=count)
    thread.start()
    try:
        records = [submit(node, "echo done", f"project:{n % 8}", f"a{n}") for n in range(16)]
        results = [node.ended(record.session_id, 60).result for record in records]
    finally:
        over.set()
        thread.join()
    assert [(result.output, result.error) for result in results] == [("done", "")] * 16
    assert most[0] == 3


def test_idle_workers_that_are_too_many_leave(node, workers, monkeypatch):
    for scope in ("project:a", "project:b", "project:c"):
        run(node, "true", scope)
    monkeypatch.setenv("CIS_WORKER_MAX_PER_NODE", "1")
    node.kill(node.coordinator_pid())
    node.wait_until(lambda: len(workers()) == 1, 20)


# --- stopping and replacing ---------------------------------------------------------------------------


def test_a_worker_that_is_stopped_finishes_first_and_gets_nothing_new(node, workers, tmp_path):
    gate = tmp_path / "gate"
    first = submit(node, f"while [ ! -e {gate} ]; do sleep 0.05; done; echo finished", "project:a")
    node.wait(first.session_id, running)
    before = workers()["project:a"]
    stop_worker("worker-project-a")
    second = submit(node, "echo next", "project:a", "b")
    record = node.wait(second.session_id, waiting)
    assert record.waiting_for == "worker-project-a, which was told to stop and finishes"
    assert workers()["project:a"].leaving == "was told to stop and finishes"
    gate.touch()
    assert node.ended(first.session_id).result.output == "finished"
    assert node.ended(second.session_id).result.output == "next"
    after = workers()["project:a"]
    assert (after.pid != before.pid, after.leaving) == (True, "")


def test_a_worker_that_is_stopped_now_ends_its_agents(node, workers):
    first = submit(node, "sleep 60", "project:a")
    node.wait(first.session_id, running)
    stop_worker("worker-project-a", now=True)
    assert node.ended(first.session_id).result.subtype == "killed"
    node.wait_until(lambda: not workers())
    assert run(node, "echo next", "project:a", "b").result.output == "next"


def test_a_worker_that_is_not_there_cannot_be_stopped(node):
    run(node, "true", "project:backend")
    with pytest.raises(UsageError, match="did you mean worker-project-backend"):
        stop_worker("worker-project-backnd")


def test_a_worker_of_another_version_finishes_and_is_replaced(node, workers, older_python, tmp_path):
    gate = tmp_path / "gate"
    old = older_python("from cis_provider.node.client import NodeClient as C; print(C('t').status().version)")
    assert old == "0.0.1"
    with NodeClient("test", start=False) as client:
        command = f"while [ ! -e {gate} ]; do sleep 0.05; done; echo finished"
        first = client.submit(node.request(command, scope="project:a", **GUEST)).record
        client.submit(node.request("true", scope="project:idle", **GUEST))
        for record in client.watch(first.session_id, timeout=20):
            if running(record):
                break
    with NodeClient("test", start=False) as client:
        old_pid = client.status().pid
    # Joined by a newer one, the coordinator makes way; its workers stay.
    status = NodeClient("test").status()
    assert (status.version, status.pid != old_pid) == (__version__, True)
    worker = workers()["project:a"]
    assert (worker.version, worker.leaving) == ("0.0.1", "is of version 0.0.1 and finishes")
    second = submit(node, "echo next", "project:a", "b")
    record = node.wait(second.session_id, waiting)
    assert record.waiting_for == "worker-project-a, which is of version 0.0.1 and finishes"
    # One that has nothing to do leaves at once.
    node.wait_until(lambda: "project:idle" not in workers())
    gate.touch()
    assert node.ended(first.session_id).result.output == "finished"
    assert node.ended(second.session_id).result.output == "next"
    assert workers()["project:a"].version == __version__


def test_an_older_client_joins_a_newer_coordinator(node, older_python):
    pid = node.coordinator_pid()
    program = (
        "from cis_provider.node.client import NodeClient as C; s = C('t').status(); print(s.pid, s.version)"
    )
    assert older_python(program) == f"{pid} {__version__}"


# --- sweeping -----------------------------------------------------------------------------------------


def test_what_dead_workers_left_behind_is_swept_and_the_living_are_not_touched(node, workers):
    for scope in ("project:dead", "project:idle"):
        run(node, "true", scope)
    busy = submit(node, "sleep 2; echo on", "project:busy")
    node.wait(busy.session_id, running)
    lost = submit(node, "trap '' HUP; setsid sleep 1000 & sleep 1000", "project:lost")
    node.wait(lost.session_id, running)
    before = workers()
    node.kill(node.coordinator_pid())
    for scope in ("project:dead", "project:lost"):
        node.kill(before[scope].pid)
    sockets = [paths.worker_socket(name) for name in ("worker-project-dead", "worker-project-lost")]
    assert all(path.exists() for path in sockets)
    stray = paths.runtime_dir() / "w-0123456789ab.sock"
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(stray))

    node.coordinator_pid()
    folders = ["worker-project-busy", "worker-project-idle"]
    node.wait_until(lambda: sorted(path.name for path in paths.workers_dir().iterdir()) == folders)
    node.wait_until(lambda: not any(path.exists() for path in [*sockets, stray]))
    assert node.ended(lost.session_id).result.subtype == "interrupted"
    assert processes.belonging_to(lost.session_id, -1) == []
    after = workers()
    assert {scope: worker.pid for scope, worker in after.items()} == {
        scope: before[scope].pid for scope in ("project:busy", "project:idle")
    }
    assert node.ended(busy.session_id).result.output == "on"


def test_processes_of_a_note_nobody_knows_are_ended_with_it(node, cis_home):
    import subprocess

    session = "0123456789abcdef"
    sleeper = subprocess.Popen(
        ["sleep", "1000"], env={**os.environ, "CIS_SESSION_ID": session}, start_new_session=True
    )
    leftovers.remember("worker-project-x", session, sleeper.pid)
    node.coordinator_pid()
    assert sleeper.wait(10) == -signal.SIGKILL
    node.wait_until(lambda: not paths.worker_dir("worker-project-x").exists())


def test_a_worker_that_does_not_answer_is_not_taken_for_dead(node, workers):
    first = submit(node, "sleep 1; echo on", "project:a")
    node.wait(first.session_id, running)
    pid = workers()["project:a"].pid
    os.kill(pid, signal.SIGSTOP)
    try:
        removed = leftovers.sweep(known=())
    finally:
        os.kill(pid, signal.SIGCONT)
    assert removed == []
    assert node.ended(first.session_id).result.output == "on"


def test_what_is_no_workers_folder_is_left_alone(node):
    foreign = paths.workers_dir() / "notes-of-mine"
    foreign.mkdir(parents=True)
    (paths.workers_dir() / "worker-file").write_text("")
    assert leftovers.sweep(known=()) == []
    assert foreign.exists()


def test_a_lock_that_was_removed_while_it_was_opened_is_taken_again(cis_home, monkeypatch):
    from cis_provider import files

    path, taken, others = paths.worker_lock("worker-a"), files._taken, []

    def sweeper_comes_first(file):
        if not others:
            path.unlink()
            others.append(path)
        return taken(file)

    monkeypatch.setattr(files, "_taken", sweeper_comes_first)
    with lock_for_life(path) as lock:
        assert others
        assert os.path.samestat(os.fstat(lock.fileno()), path.stat())
        assert is_locked(path)
        assert lock_for_life(path) is None
    assert not is_locked(path)
