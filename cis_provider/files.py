"""Files that are whole or not there, locks that are held for life, and who is on the other end."""

from __future__ import annotations

import fcntl
import os
import socket
import struct
import time
from pathlib import Path
from typing import IO

from cis_provider.errors import ConfigError

_LOOKS = 3


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
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(
            f"{path}: cannot be made ({error.strerror}); set CIS_HOME to a folder you own"
        ) from None
    return path


def lock_for_life(path: Path) -> IO[str] | None:
    """
    Take a lock that the kernel gives back when this process ends, however it ends.

    :return: The open file, to be kept; ``None`` when another process holds it.
    :raises ConfigError: The file cannot be opened.
    """
    try:
        file = path.open("a+")
    except OSError as error:
        raise ConfigError(f"{path}: cannot be opened as a lock ({error.strerror})") from None
    for attempt in range(_LOOKS):
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            break
        except BlockingIOError:
            # Somebody who only looked (is_locked) holds it for a moment, an owner for life.
            if attempt == _LOOKS - 1:
                file.close()
                return None
            time.sleep(0.02)
    file.truncate(0)
    file.write(f"{os.getpid()}\n")
    file.flush()
    return file


def is_locked(path: Path) -> bool:
    """Whether some living process holds the lock of this file."""
    try:
        with path.open() as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return True
    except FileNotFoundError:
        pass
    return False


def bind_unix_socket(path: Path) -> socket.socket:
    """
    Listen on a Unix socket of mode 0600. The caller holds the lock that makes ``path`` its own.

    :raises ConfigError: The path is too long, or something that is no socket stands there.
    """
    if len(os.fsencode(path)) > 107:
        raise ConfigError(f"{path}: too long for a Unix socket; set CIS_RUNTIME_DIR to a shorter folder")
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


def peer_uid(sock: socket.socket) -> int:
    """User id of the process on the other end of a Unix socket (Linux: SO_PEERCRED)."""
    _pid, uid, _gid = struct.unpack("3i", sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
    return int(uid)
