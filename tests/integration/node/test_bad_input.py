"""What stands in a node's way: one clear error each, and nothing is lost."""

from __future__ import annotations

import os
import socket
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from select import select

import pytest

from cis_provider import paths
from cis_provider.errors import CisError, ConfigError, NodeUnreachable, StoreError
from cis_provider.files import lock_for_life
from cis_provider.node.client import NodeClient

pytestmark = pytest.mark.integration

NOBODY = 65534

needs_root = pytest.mark.skipif(os.getuid() != 0, reason="only root can become another user")


def refusal() -> str:
    """What a client is told that needs this node."""
    with pytest.raises(CisError) as caught:
        NodeClient("test").close()
    return str(caught.value)


def as_nobody(work: Callable[[], object]) -> str:
    """Run ``work`` in a process of another user; the words of its error, or ``done``."""
    read, write = os.pipe()
    if not (pid := os.fork()):
        try:
            os.setgid(NOBODY)
            os.setuid(NOBODY)
            work()
            said = "done"
        except BaseException as error:
            said = f"{type(error).__name__}: {error}"
        os.write(write, said.encode())
        os._exit(0)
    os.close(write)
    os.waitpid(pid, 0)
    with os.fdopen(read) as words:
        return words.read()


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that others may read; those of pytest are ours alone."""
    with tempfile.TemporaryDirectory(prefix="cis-t-") as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


# --- in a lock's place --------------------------------------------------------------------------------


@pytest.mark.parametrize("lock", ["coordinator.lock", "coordinator.starting"])
def test_a_folder_in_the_place_of_the_coordinators_lock(node, cis_home, lock):
    (cis_home / "node" / lock).mkdir(parents=True)
    said = refusal()
    assert f"{cis_home}/node/{lock}: cannot be opened as a lock (Is a directory); move it away" in said
    (cis_home / "node" / lock).rmdir()
    assert node.run("echo on").result.output == "on"


def test_a_folder_in_the_place_of_a_workers_lock(node):
    lock = paths.worker_lock("worker-global")
    lock.mkdir(parents=True)
    result = node.run("true").result
    assert result.subtype == "not_started"
    assert f"{lock}: cannot be opened as a lock (Is a directory); move it away" in result.error
    lock.rmdir()
    assert node.run("echo on", "b").result.output == "on"


def test_a_file_in_the_place_of_a_workers_folder(node):
    folder = paths.worker_dir("worker-global")
    folder.parent.mkdir(parents=True)
    folder.write_text("mine")
    assert f"{folder}: cannot be made (File exists)" in node.run("true").result.error
    assert folder.read_text() == "mine"


def test_a_pipe_in_the_place_of_a_lock(cis_home):
    cis_home.mkdir()
    os.mkfifo(cis_home / "lock")
    with pytest.raises(ConfigError, match="since it is no file; move it away"):
        lock_for_life(cis_home / "lock")


def test_a_lock_file_with_anything_in_it_is_a_lock(node, cis_home):
    (cis_home / "node").mkdir(parents=True)
    paths.coordinator_lock().write_bytes(b"\0\xffnot a pid")
    lock = paths.worker_lock("worker-global")
    lock.parent.mkdir(parents=True)
    lock.write_text("999999999999\n")
    assert node.run("echo on").result.output == "on"
    assert paths.coordinator_lock().read_text() == f"{node.coordinator_pid()}\n"


@needs_root
def test_a_lock_that_cannot_be_read(open_folder):
    (open_folder / "lock").touch(mode=0o600)
    said = as_nobody(lambda: lock_for_life(open_folder / "lock"))
    assert f"{open_folder}/lock: cannot be opened as a lock (Permission denied)" in said


# --- in a socket's place ------------------------------------------------------------------------------


def test_a_foreign_file_in_the_place_of_the_coordinators_socket(node):
    path = paths.coordinator_socket()
    path.write_text("mine")
    assert f"{path}: is no socket; move it away" in refusal()
    assert path.read_text() == "mine"
    path.unlink()
    assert node.run("echo on").result.output == "on"


def test_a_foreign_file_in_the_place_of_a_workers_socket(node):
    path = paths.worker_socket("worker-global")
    path.write_text("mine")
    result = node.run("true").result
    assert result.subtype == "not_started"
    assert f"{path}: is no socket; move it away" in result.error
    assert path.read_text() == "mine"


def test_a_path_that_is_too_long_for_a_socket(cis_home, tmp_path, monkeypatch):
    # One that the coordinator's socket would just fit into, and no worker's.
    folder = tmp_path / ("x" * (87 - len(str(tmp_path))))
    monkeypatch.setenv("CIS_RUNTIME_DIR", str(folder))
    assert len(str(paths.coordinator_socket())) <= 107 < len(str(paths.worker_socket("any")))
    assert "too long for a Unix socket (108 bytes, 107 at most); set CIS_RUNTIME_DIR" in refusal()
    monkeypatch.setenv("CIS_RUNTIME_DIR", f"{folder}-and-longer")
    assert "too long for a Unix socket" in refusal()
    assert not paths.coordinator_log().exists() or "Traceback" not in paths.coordinator_log().read_text()


@needs_root
def test_a_socket_of_another_user(cis_home):
    path = paths.coordinator_socket()
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    # Whose process it is, the kernel notes when it begins to listen.
    os.setegid(NOBODY)
    os.seteuid(NOBODY)
    try:
        listener.listen()
    finally:
        os.seteuid(0)
        os.setegid(0)
    with listener:
        assert f"{path}: a process of user {NOBODY} listens there" in refusal()


@needs_root
def test_a_client_of_another_user_is_turned_away_and_told(node, monkeypatch):
    node.run("true")
    path = paths.coordinator_socket()

    def greet() -> None:
        # Its own folder is not what counts: the node's is open to it for once.
        monkeypatch.setattr(paths, "runtime_dir", lambda: path.parent)
        # Turned away before it has said a word.
        monkeypatch.setattr(
            "cis_provider.node.client.check_server", lambda sock, _: select([sock], [], [], 10)
        )
        NodeClient("test", start=False)

    path.parent.chmod(0o711)
    path.chmod(0o666)
    said = as_nobody(greet)
    assert said == f"ConfigError: this node belongs to user 0, not to user {NOBODY}; set CIS_HOME"
    assert node.run("echo on", "b").result.output == "on"


# --- folders and disks --------------------------------------------------------------------------------


@needs_root
def test_a_home_that_cannot_be_written(cis_home, open_folder, monkeypatch):
    home, runtime = open_folder / "home", open_folder / "runtime"
    home.mkdir()
    runtime.mkdir()
    os.chown(runtime, NOBODY, NOBODY)
    monkeypatch.setenv("CIS_HOME", str(home))
    monkeypatch.setenv("CIS_RUNTIME_DIR", str(runtime))
    said = as_nobody(lambda: NodeClient("test"))
    assert said == (
        f"ConfigError: {home}/node: cannot be made (Permission denied); set CIS_HOME to a folder you own"
    )
    (home / "node").mkdir(mode=0o755)
    said = as_nobody(lambda: NodeClient("test"))
    assert f"{home}/node/coordinator.starting: cannot be opened as a lock (Permission denied)" in said
    assert list(home.rglob("*")) == [home / "node"]


@pytest.fixture
def small_disk(cis_home: Path) -> Iterator[Path]:
    """``CIS_HOME`` on a disk of its own; a file on it that fills it."""
    cis_home.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=2m", "none", str(cis_home)], capture_output=True, check=False
    )
    if done.returncode:
        pytest.skip("mounting is not permitted here")
    yield cis_home / "filler"
    subprocess.run(["umount", "-l", str(cis_home)], check=True)


def fill(file: Path) -> None:
    with file.open("ab", buffering=0) as target:
        for size in (1 << 16, 1 << 10, 1):
            try:
                while True:
                    target.write(b"x" * size)
            except OSError:
                continue


def test_a_full_disk_accepts_nothing_and_loses_nothing(small_disk, node):
    small_disk.touch()
    first = node.submit("while [ -e $CIS_WORKSPACE/../../../../filler ]; do sleep 0.1; done; echo on", "a")
    with NodeClient("test") as client:
        for record in client.watch(first.session_id, timeout=10):
            if record.state == "running":
                break
    fill(small_disk)
    with pytest.raises(StoreError, match="could not be written"):
        node.submit("echo never", "b")
    with NodeClient("test") as client:
        assert [record.key.task_id for record in client.sessions()] == ["a"]
    small_disk.unlink()
    assert node.ended(first.session_id).result.output == "on"
    assert node.run("echo later", "b").result.output == "later"


def test_a_coordinator_cannot_begin_on_a_full_disk_and_says_why(small_disk, node):
    fill(small_disk)
    with pytest.raises((NodeUnreachable, ConfigError), match=r"No space left|full"):
        node.coordinator_pid()
    small_disk.unlink()
    assert node.run("echo on").result.output == "on"
