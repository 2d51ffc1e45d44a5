"""Files that are whole or not there, locks that are held for life, and who is on the other end."""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
import stat
import struct
import time
from pathlib import Path
from typing import IO

from cis_provider.errors import ConfigError

#: How often a file or folder may go away while we make it.
_ATTEMPTS = 50

#: Bytes, less the null character that ends it.
_LONGEST_SOCKET = 107


def write_atomic(path: Path, data: bytes, *, mode: int = 0o600) -> None:
    """
    Write a file so that a reader, and a machine that loses power, sees all of it or none of it.

    :raises OSError: As the system says; ``path`` is as it was.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    fd = os.open(temporary, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, mode)
    try:
        with os.fdopen(fd, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def private_folder(path: Path) -> Path:
    """
    A folder of mode 0700 that is there afterwards.

    :raises ConfigError: It cannot be made; the message says why.
    """
    for _ in range(_ATTEMPTS):
        try:
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            if isinstance(error, FileExistsError) and (path.is_dir() or not os.path.lexists(path)):
                continue  # its owner removes it in this moment, and the next one makes it
            raise ConfigError(
                f"{path}: cannot be made ({error.strerror}); set CIS_HOME to a folder you own"
            ) from None
        break
    return path


def lock_for_life(path: Path, *, looks: int = 4) -> IO[str] | None:
    """
    Take a lock that the kernel gives back when this process ends, however it ends.

    Its folder is made if need be. Whoever holds the lock may remove the file, and the folder with it.

    :param looks: How often a lock that is held is looked at: :func:`is_locked` holds it for a moment, an owner
        for life.
    :return: The open file, to be kept; ``None`` when another process holds it.
    :raises ConfigError: There can be no lock; the message says why.
    """
    for _ in range(_ATTEMPTS):
        file = _open_lock(path)
        if file is None:
            continue
        if not _taken(file):
            file.close()
            looks -= 1
            if not looks:
                return None
            time.sleep(0.02)
        elif _is_at(file, path):
            _sign(file)
            return file
        else:
            # Removed, by an owner that left, after we had opened it: a lock that nobody else would meet.
            file.close()
    raise ConfigError(f"{path}: goes away again and again; something else removes it")


def let_go(lock: IO[str]) -> None:
    """Give a lock back now, though a child process may have inherited the file."""
    fcntl.flock(lock, fcntl.LOCK_UN)
    lock.close()


def is_locked(path: Path) -> bool:
    """Whether some living process holds the lock of this file. What cannot be a lock is held by nobody."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    except OSError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(fd)
    return False


def _open_lock(path: Path) -> IO[str] | None:
    """The file; ``None`` when its folder was removed in this moment."""
    private_folder(path.parent)
    try:
        fd = os.open(path, os.O_CREAT | os.O_RDWR | os.O_NONBLOCK, 0o600)
    except FileNotFoundError:
        return None
    except OSError as error:
        way_out = (
            "move it away" if path.is_dir() else "see that we may write it, or set CIS_HOME to another folder"
        )
        raise ConfigError(f"{path}: cannot be opened as a lock ({error.strerror}); {way_out}") from None
    if stat.S_ISREG(os.fstat(fd).st_mode):
        return os.fdopen(fd, "r+")
    os.close(fd)
    raise ConfigError(f"{path}: cannot be a lock, since it is no file; move it away")


def _taken(file: IO[str]) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is_at(file: IO[str], path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except OSError:
        return False


def _sign(file: IO[str]) -> None:
    # For people, and on a full disk for nobody: the lock is the kernel's.
    with contextlib.suppress(OSError):
        os.ftruncate(file.fileno(), 0)
        os.write(file.fileno(), f"{os.getpid()}\n".encode())


def bind_unix_socket(path: Path) -> socket.socket:
    """
    Listen on a Unix socket of mode 0600. The caller holds the lock that makes ``path`` its own.

    :raises ConfigError: The path is too long, or something that is no socket stands there.
    """
    check_socket_path(path)
    if path.is_socket():
        path.unlink()
    elif path.exists() or path.is_symlink():
        raise ConfigError(f"{path}: is no socket; move it away")
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(0o177)
    try:
        sock.bind(str(path))
    finally:
        os.umask(before)
    sock.listen(512)
    sock.setblocking(False)
    return sock


def check_socket_path(path: Path) -> None:
    """
    :raises ConfigError: It is too long for a Unix socket.
    """
    if len(os.fsencode(path)) > _LONGEST_SOCKET:
        raise ConfigError(
            f"{path}: too long for a Unix socket ({len(os.fsencode(path))} bytes, {_LONGEST_SOCKET} at most); "
            "set CIS_RUNTIME_DIR to a shorter folder"
        )


def check_server(sock: socket.socket, path: Path) -> None:
    """
    Whoever listens there must be of our user, or root, before it is told anything.

    :raises ConfigError: It is somebody else.
    """
    uid = peer_uid(sock)
    if uid not in (os.getuid(), 0):
        raise ConfigError(
            f"{path}: a process of user {uid} listens there; remove the socket, or set CIS_RUNTIME_DIR to a "
            "folder of your own"
        )


def peer_uid(sock: socket.socket) -> int:
    """User id of the process on the other end of a Unix socket (Linux: SO_PEERCRED)."""
    _pid, uid, _gid = struct.unpack("3i", sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
    return int(uid)
