"""
What runs between the supervisor's fork and a component's program: standard library only, run by its path.

``child.py PARENT SIGNAL UID CAPABILITY -- COMMAND...`` asks the kernel to send ``SIGNAL`` when ``PARENT`` dies,
gives up root for ``UID`` (-1: stays who it is), and becomes ``COMMAND``. A program of its own, since the
supervisor has threads, and Python code between fork and exec may then stand still for ever.
"""

from __future__ import annotations

import ctypes
import os
import struct
import sys

_PR_SET_PDEATHSIG, _PR_SET_KEEPCAPS, _PR_CAP_AMBIENT, _PR_CAP_AMBIENT_RAISE = 1, 8, 47, 2
_CAPABILITY_VERSION_3 = 0x20080522


def main(arguments: list[str]) -> None:
    """Become the command; never returns."""
    parent, death_signal, uid, capability = (int(text) for text in arguments[:4])
    command = arguments[5:]
    libc = ctypes.CDLL(None, use_errno=True)
    if uid >= 0:
        _become(libc, uid, capability)
    # After the change of user, which makes the kernel forget it.
    _checked(libc.prctl(_PR_SET_PDEATHSIG, death_signal, 0, 0, 0), "PR_SET_PDEATHSIG")
    if os.getppid() != parent:
        raise SystemExit("the supervisor is gone already")
    os.execvp(command[0], command)


def _become(libc: ctypes.CDLL, uid: int, capability: int) -> None:
    """
    Another user who keeps one capability: to pass through folders that are closed to it.

    PostgreSQL refuses root. Its data and its binaries may stand below a folder of mode 0700 that belongs to
    root (``/root``), which we do not want to open to everybody.
    """
    _checked(libc.prctl(_PR_SET_KEEPCAPS, 1, 0, 0, 0), "PR_SET_KEEPCAPS")
    os.setgroups([])
    os.setgid(uid)
    os.setuid(uid)
    header = struct.pack("=Ii", _CAPABILITY_VERSION_3, 0)
    mask = 1 << capability
    _checked(libc.capset(header, struct.pack("=6I", mask, mask, mask, 0, 0, 0)), "capset")
    _checked(libc.prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_RAISE, capability, 0, 0), "PR_CAP_AMBIENT_RAISE")


def _checked(result: int, what: str) -> None:
    if result != 0:
        raise OSError(ctypes.get_errno(), f"{what}: {os.strerror(ctypes.get_errno())}")


if __name__ == "__main__":
    main(sys.argv[1:])
