"""Plain git by subprocess: a deadline for every call, a clean environment, no prompts, errors with a way out."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from cis_provider.errors import WorkspaceError

#: Seconds for a command that only reads or writes a repository's own files.
QUICK = 60.0
#: Seconds for a checkout, or for a look at every file of a work tree.
SLOW = 600.0
#: Seconds for talking to another machine.
REMOTE = 1800.0
#: Seconds to try again for, while another git holds one of a repository's own locks.
_LOCK_PATIENCE = 15.0

# They point git at another repository, index or set of objects than those of the folder it is run in. The
# list is git's own (`git rev-parse --local-env-vars`), with the namespace, and what opens a window.
_MISLEADING = frozenset(
    {
        "GIT_ALTERNATE_OBJECT_DIRECTORIES",
        "GIT_CEILING_DIRECTORIES",
        "GIT_COMMON_DIR",
        "GIT_CONFIG",
        "GIT_CONFIG_COUNT",
        "GIT_CONFIG_PARAMETERS",
        "GIT_DIR",
        "GIT_EXTERNAL_DIFF",
        "GIT_GRAFT_FILE",
        "GIT_IMPLICIT_WORK_TREE",
        "GIT_INDEX_FILE",
        "GIT_INTERNAL_SUPER_PREFIX",
        "GIT_NAMESPACE",
        "GIT_NO_REPLACE_OBJECTS",
        "GIT_OBJECT_DIRECTORY",
        "GIT_PREFIX",
        "GIT_REPLACE_REF_BASE",
        "GIT_SHALLOW_FILE",
        "GIT_WORK_TREE",
        "LANGUAGE",
        "SSH_ASKPASS",
    }
)

# Hooks are for people's own commands: one that fails or waits must not stop an agent's folder from being
# made. Agents' own git commands run them as ever. No monitor or clean-up process is left behind.
_SETTINGS = [
    word
    for setting in (
        "core.hooksPath=/dev/null",
        "core.fsmonitor=false",
        "core.quotePath=false",
        "color.ui=false",
        "gc.auto=0",
        "maintenance.auto=false",
        "submodule.recurse=false",
    )
    for word in ("-c", setting)
]

_LOCKED = re.compile(r"\.lock': File exists|could not lock config file|Unable to create '.*\.lock'", re.I)

_HINTS = (
    (
        r"dubious ownership",
        "the repository belongs to another user: `git config --global --add safe.directory {}`",
    ),
    (
        r"terminal prompts disabled|could not read (Username|Password)|Authentication failed"
        r"|Permission denied \(|Host key verification failed",
        "git asks nobody here: give it a credential helper or an ssh key that works without questions",
    ),
    (
        r"Could not resolve host|unable to access|Connection (refused|timed out)",
        "is the address right, and the network up?",
    ),
    (r"[Nn]o space left", "the disk is full"),
    (r"not a git repository", "name a folder with a git repository, or an address that git can clone"),
    (r"git-lfs", "the repository needs git-lfs on this node"),
)


@dataclass(frozen=True)
class Answer:
    """What a git command said. ``code`` is its exit code."""

    code: int
    out: str
    err: str

    @property
    def complaint(self) -> str:
        """The line of its error output that says what is wrong."""
        lines = [line.strip() for line in self.err.splitlines() if line.strip()]
        worst = [line for line in lines if line.startswith(("fatal:", "error:"))]
        if len(worst) > 1 and "Could not read from remote repository" in worst[-1]:
            worst.pop()  # the line above it says why
        return printable(masked((worst or lines or [f"exit code {self.code}"])[-1]))


def run(
    args: Sequence[str],
    *,
    cwd: Path,
    timeout: float = QUICK,
    env: Mapping[str, str] | None = None,
) -> str:
    """
    Output of a git command that must work, without the last line end.

    :param timeout: Seconds.
    :raises WorkspaceError: It failed, took too long, or there is no git.
    """
    answer = ask(args, cwd=cwd, timeout=timeout, env=env)
    if answer.code:
        raise WorkspaceError(failure(args, cwd, answer))
    return answer.out.removesuffix("\n")


def ask(
    args: Sequence[str],
    *,
    cwd: Path,
    timeout: float = QUICK,
    env: Mapping[str, str] | None = None,
) -> Answer:
    """
    What a git command answers, whatever its exit code.

    While another git holds a lock of the repository, the command is tried again for some seconds.

    :param timeout: Seconds.
    :raises WorkspaceError: It took too long, there is no git, or no folder ``cwd``.
    """
    patience = time.monotonic() + min(_LOCK_PATIENCE, timeout)
    pause = 0.05
    while True:
        answer = _once(args, cwd, timeout, env)
        if not answer.code or not _LOCKED.search(answer.err) or time.monotonic() + pause > patience:
            return answer
        time.sleep(pause)
        pause = min(pause * 2, 1.0)


def failure(args: Sequence[str], where: Path | str, answer: Answer) -> str:
    """
    One sentence for a git command that failed: which, where, why, and the way out where we know it.

    :param where: The repository, or the address it is of.
    """
    hints = [hint.format(where) for pattern, hint in _HINTS if re.search(pattern, answer.err)]
    way_out = f"; {hints[0]}" if hints else ""
    return masked(f"git {_verb(args)} failed in {where}: {answer.complaint}{way_out}")


def masked(text: str) -> str:
    """``text`` without the user names and passwords of addresses in it."""
    return re.sub(r"(https?://)[^/@\s]+@", r"\1***@", text)


def printable(text: str) -> str:
    """``text`` as it may be stored and sent: bytes of file names that are no UTF-8 become ``\ufffd``."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def _once(args: Sequence[str], cwd: Path, timeout: float, env: Mapping[str, str] | None) -> Answer:
    try:
        process = subprocess.Popen(
            ["git", "--no-pager", *_SETTINGS, *args],
            cwd=cwd,
            env=_environment() | dict(env or {}),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,  # no terminal to ask on, and one group to stop
        )
    except FileNotFoundError:
        if not cwd.is_dir():
            raise WorkspaceError(f"there is no folder {cwd}") from None
        raise WorkspaceError(
            "there is no git on this node; install it (`apt-get install git`, `dnf install git`, "
            "`brew install git`) and see that it is in the node's PATH"
        ) from None
    except OSError as error:
        raise WorkspaceError(f"git cannot be run in {cwd}: {error.strerror}") from None
    try:
        out, err = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        _stop(process)
        raise WorkspaceError(
            f"git {_verb(args)} in {cwd} took longer than {timeout:.0f} s and was stopped; "
            "is the disk, or the repository's server, that slow?"
        ) from None
    return Answer(process.returncode, _text(out), _text(err))


def _stop(process: subprocess.Popen[bytes]) -> None:
    # SIGTERM first: on it git removes its own lock files.
    for sign, seconds in ((signal.SIGTERM, 3.0), (signal.SIGKILL, 3.0)):
        with suppress(ProcessLookupError):
            os.killpg(process.pid, sign)
        try:
            process.communicate(timeout=seconds)
            return
        except subprocess.TimeoutExpired:
            continue


def _environment() -> dict[str, str]:
    kept = {
        name: value
        for name, value in os.environ.items()
        if name not in _MISLEADING
        and not name.startswith(("GIT_CONFIG_KEY_", "GIT_CONFIG_VALUE_", "GIT_TRACE"))
    }
    return kept | {
        "GIT_TERMINAL_PROMPT": "0",
        "SSH_ASKPASS_REQUIRE": "never",
        "GIT_OPTIONAL_LOCKS": "0",  # a look at somebody's work tree writes nothing into it
        "GIT_EDITOR": "true",
        "LC_ALL": "C.UTF-8",
    }


def _verb(args: Sequence[str]) -> str:
    words = [arg for arg in args if not arg.startswith("-")]
    return " ".join(words[:2]) if words[:1] == ["worktree"] else words[0]


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "surrogateescape")
