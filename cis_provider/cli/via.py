"""
``--via HOST``: the same command on another machine, by ssh. Nothing listens on the network for it.

Whoever may log in there by ssh, as the user whose node it is, may do what that user may; ssh asks for what
it needs to know, and reads its own configuration.
"""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Collection, Sequence
from typing import Annotated, NoReturn

import typer

from cis_provider import settings
from cis_provider.errors import UsageError

_VIA = "--via"


class Host(str):
    """HOST as it was given, by a command some of whose options take a value."""

    __slots__ = ("valued",)

    valued: frozenset[str]


def _noted(ctx: typer.Context, host: str | None) -> str | None:
    if host is None:
        return None
    noted = Host(host)
    noted.valued = frozenset(
        name
        for option in ctx.command.params
        if option.param_type_name == "option" and not getattr(option, "is_flag", False)
        for name in option.opts
    )
    return noted


ViaOption = Annotated[
    str | None,
    typer.Option(
        _VIA, metavar="HOST", help="Do it on another machine, by ssh: HOST as ssh knows it.", callback=_noted
    ),
]

#: A terminal whose network died is noticed after 45 s; without it, never.
_ALIVE = ("-o", "ServerAliveInterval=15", "-o", "ServerAliveCountMax=3")


def via(host: str, argv: Sequence[str], *, tty: bool) -> NoReturn:
    """
    Become ``ssh HOST cis ARGV...``; its exit code is ours then (255: ssh itself failed, and said why).

    :param argv: Words after ``cis``, without ``--via``; any text may be in them.
    :param tty: The command draws, or asks: it needs a terminal there, if there is one here.
    :raises UsageError: It is no name of a host, or there is no ssh.
    """
    command = ssh_command(host, argv, tty=tty and sys.stdin.isatty() and sys.stdout.isatty())
    sys.stdout.flush()
    sys.stderr.flush()
    try:
        os.execvp(command[0], command)
    except OSError as error:
        raise UsageError(
            f"--via {host}: {command[0]} cannot be run ({error.strerror}); install OpenSSH's client, "
            "or name another program in CIS_VIA_SSH"
        ) from None


def ssh_command(host: str, argv: Sequence[str], *, tty: bool) -> list[str]:
    """
    The command line.

    :raises UsageError: It is no name of a host.
    """
    if not host or host.startswith("-") or any(char.isspace() or not char.isprintable() for char in host):
        raise UsageError(f"--via {host!r} is no host; write one as for ssh: build-1, anna@build-1")
    ssh = shlex.split(settings.text("via.ssh")) or ["ssh"]
    # ssh joins its words with blanks and gives them to a shell: that one must see them as they are here.
    there = f"{settings.text('via.command')} {shlex.join(argv)}"
    return [*ssh, "-t" if tty else "-T", *(_ALIVE if tty else ()), "--", host, there]


def without_via(argv: Sequence[str], valued: Collection[str] = ()) -> list[str]:
    """
    The words of a command line without our ``--via HOST``; one that is part of what an agent is told stays.

    :param valued: The command's options that take a value, which may look like an option itself.
    """
    left: list[str] = []
    words = iter(argv)
    for word in words:
        if word == "--":
            return [*left, word, *words]
        if word == _VIA:
            next(words, None)
        elif not word.startswith(f"{_VIA}="):
            left.append(word)
            if _takes_the_next(word, valued):
                left += [value for value in (next(words, None),) if value is not None]
    return left


def _takes_the_next(word: str, valued: Collection[str]) -> bool:
    """Whether the next word is this option's value: after ``--text``, ``-n`` or ``-fn``, not after ``-n5``."""
    if word.startswith("--") or not word.startswith("-"):
        return word in valued
    first = next((place for place, letter in enumerate(word[1:], 1) if f"-{letter}" in valued), 0)
    return first == len(word) - 1 > 0


def maybe_via(host: str | None, *, tty: bool) -> None:
    """
    With a host, become the same command line there; without one, come back.

    :raises UsageError: As :func:`via`.
    """
    if host is not None:
        via(host, without_via(sys.argv[1:], getattr(host, "valued", ())), tty=tty)
