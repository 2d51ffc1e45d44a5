"""
What a killed worker leaves behind: which process groups were its sessions', by pid and start time.

A worker notes each session when it accepts it and forgets it when the result is on disk. Whoever finds the
worker gone (its coordinator, or the next worker) ends what the notes name, before anything runs again.
"""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import signal
import socket
import time
from collections.abc import Container
from pathlib import Path

import msgspec

from cis_provider import paths
from cis_provider.errors import ConfigError
from cis_provider.files import is_locked, lock_for_life, private_folder, write_atomic
from cis_provider.worker import processes

log = logging.getLogger(__name__)

#: Seconds for killed processes to be gone; one in an uninterruptible wait may take for ever.
_GONE = 2.0


class Note(msgspec.Struct, frozen=True):
    """A session's process; pid 0 while there is none yet."""

    session_id: str
    pid: int = 0
    started: int = 0


def remember(worker: str, session_id: str, pid: int = 0) -> None:
    """Note a session, and its process once it has one."""
    note = Note(session_id, pid, processes.start_time(pid) if pid else 0)
    write_atomic(private_folder(paths.worker_notes(worker)) / session_id, msgspec.json.encode(note))


def forget(worker: str, session_id: str) -> None:
    """It has ended, and its result is on disk."""
    (paths.worker_notes(worker) / session_id).unlink(missing_ok=True)


def noted(worker: str) -> set[str]:
    """Ids of the sessions that a worker accepted and did not finish."""
    try:
        return {note.name for note in paths.worker_notes(worker).iterdir() if not note.name.startswith(".")}
    except FileNotFoundError:
        return set()


def is_noted(session_id: str) -> bool:
    """Whether any worker of this node accepted a session and did not finish it."""
    return any((paths.worker_notes(worker) / session_id).exists() for worker in known_workers())


def known_workers() -> list[str]:
    """Names of the workers that have a folder: the living, and those that left something behind."""
    try:
        with os.scandir(paths.workers_dir()) as entries:
            return sorted(
                entry.name
                for entry in entries
                if entry.name.startswith("worker-") and entry.is_dir(follow_symlinks=False)
            )
    except FileNotFoundError:
        return []


def end_all(worker: str) -> None:
    """Kill every process of the sessions noted for a worker that is gone, and see them gone. The notes stay."""
    for session_id in noted(worker):
        try:
            note = msgspec.json.decode((paths.worker_notes(worker) / session_id).read_bytes(), type=Note)
        except (OSError, msgspec.DecodeError):
            # Its processes are found by the session's id all the same, which is the file's name.
            note = Note(session_id)
        _end(note)


def remove_folder(worker: str) -> None:
    """Remove a worker's folder and socket. Only for whoever holds the worker's lock, which goes away, too."""
    if (path := paths.worker_socket(worker)).is_socket():
        path.unlink(missing_ok=True)
    folder, lock = paths.worker_dir(worker), paths.worker_lock(worker)
    with contextlib.suppress(OSError):
        for path in folder.iterdir():
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path, ignore_errors=True)
            elif path != lock:
                path.unlink()
        # Last: the next worker may be there as soon as it is gone.
        lock.unlink(missing_ok=True)
        folder.rmdir()


def sweep(known: Container[str]) -> list[str]:
    """
    Remove folders, locks and sockets of workers that are dead; their processes are ended first.

    :param known: Workers that live, or whose notes are still needed.
    :return: The names of those that were removed.
    """
    # Before the folders: a worker has its folder before its socket.
    sockets = set(paths.runtime_dir().glob("w-*.sock"))
    removed = [name for name in known_workers() if name not in known and _sweep_one(name)]
    owned = {paths.worker_socket(name) for name in known_workers()}
    for path in sockets - owned:
        if path.is_socket() and not _is_served(path):
            path.unlink(missing_ok=True)
    return removed


def _sweep_one(worker: str) -> bool:
    if is_locked(paths.worker_lock(worker)):
        return False
    try:
        lock = lock_for_life(paths.worker_lock(worker), looks=1)
    except ConfigError as error:
        log.warning("%s; what %s left behind stays", error, worker)
        return False
    if lock is None:
        return False
    with lock:
        end_all(worker)
        remove_folder(worker)
    return True


def _is_served(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        try:
            sock.settimeout(1)
            sock.connect(str(path))
        except ConnectionRefusedError:
            return False
        except OSError:
            return True
    return True


def _end(note: Note) -> None:
    same = note.pid and processes.is_same(note.pid, note.started)
    deadline = time.monotonic() + _GONE
    while victims := processes.belonging_to(note.session_id, note.pid if same else -1):
        log.warning("session %s: its worker is gone; ending its processes %s", note.session_id, victims)
        processes.signal_all(victims, signal.SIGKILL)
        if time.monotonic() > deadline:
            log.error("session %s: processes %s do not die", note.session_id, victims)
            break
        time.sleep(0.01)
