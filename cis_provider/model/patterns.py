"""Patterns of tool calls, as they stand in a file: ``Bash(git *)``, ``Read``, ``mcp__github__*``. Pure."""

from __future__ import annotations

import re
from collections.abc import Collection
from fnmatch import fnmatchcase

_PATTERN = re.compile(r"\s*([\w.*:-]+)\s*(?:\((.*)\))?\s*", re.DOTALL)

#: With one of these, a command is more than its first words say.
_COMPOUND = re.compile(r"[;&|<>`$\n\r(){}\\]")

#: What other programs call the tools that patterns name as Claude Code does, in small letters.
_SAME = {
    "bash": frozenset({"bash", "shell", "execute", "exec_command"}),
    "edit": frozenset({"edit", "write", "multiedit", "notebookedit", "apply_patch"}),
    "webfetch": frozenset({"webfetch", "fetch"}),
}


def matches(pattern: str, names: Collection[str], subjects: tuple[str, ...] = ()) -> bool:
    """
    Whether ``Name`` or ``Name(subject)`` means a call of a tool; ``*`` and ``?`` as in file names.

    A command of more than one part (``git log; rm -r x``) is not what ``Bash(git *)`` allows: it matches only as
    a whole, word by word, or with ``*`` alone.

    :param names: What the tool is called.
    :param subjects: The command, or the files; all of them must fit. Empty: only a name alone, or ``*``, fits.
    """
    found = _PATTERN.fullmatch(pattern)
    known = {same for name in names if name for same in _names(name)}
    if found is None or not any(fnmatchcase(name, found[1].lower()) for name in known):
        return False
    wanted = found[2]
    if wanted is None or wanted == "*":
        return True
    is_command = bool(known & _SAME["bash"])
    return bool(subjects) and all(_fits(wanted, subject, is_command) for subject in subjects)


def _names(tool: str) -> frozenset[str]:
    name = tool.lower()
    return next((names for names in _SAME.values() if name in names), frozenset({name}))


def _fits(wanted: str, subject: str, is_command: bool) -> bool:
    if wanted == subject:
        return True
    if is_command and _COMPOUND.search(subject):
        return False
    return fnmatchcase(subject, wanted.replace(":*", "*") if is_command else wanted)
