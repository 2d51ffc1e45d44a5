"""Names of folders and branches, made from ids that may hold anything. Pure."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

from cis_provider.model.scope import GLOBAL, TaskScope
from cis_provider.model.session import SessionKey

#: Our own files, in the root and in each run's folder. No id becomes this name: they never begin with a dot.
OWN = ".cis"

_LIMIT = 64
_DIGEST = 12
_FORBIDDEN = re.compile(r"[^A-Za-z0-9._-]")
_PLAIN = re.compile(rf"[A-Za-z0-9_][A-Za-z0-9._-]{{0,{_LIMIT - 1}}}")
_DIGESTED = re.compile(rf"-[0-9a-f]{{{_DIGEST}}}$")
_SCOPE_HOME = re.compile(r"@(?:project|user|type)-.+", re.DOTALL)


def home_of(root: Path, scope: TaskScope) -> Path:
    """The folder below ``root`` that all workspaces of a scope are in; ``root`` itself for the global one."""
    # "@" begins no safe name, so that no DAG's folder is called so.
    return root if scope.kind == "global" else root / f"@{scope.kind}-{safe_name(scope.id)}"


def is_scope_home(name: str) -> bool:
    """Whether a name in the workspace root belongs to some scope."""
    return bool(_SCOPE_HOME.fullmatch(name))


def safe_name(text: str) -> str:
    """
    A name for ``text`` that any file system and git take, at most 64 characters; different for every text.

    Plain texts stay as they are. The others get a digest at their end, and so does a text that looks as if
    it had one, so that no two texts share a name.
    """
    if _PLAIN.fullmatch(text) and not _awkward(text):
        return text
    readable = _FORBIDDEN.sub("_", text).replace("..", "__").lstrip(".-") or "_"
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:_DIGEST]
    return f"{readable[: _LIMIT - _DIGEST - 1]}-{digest}"


def _awkward(text: str) -> bool:
    # git takes no "..", no last dot and no ".lock" at the end of a part of a branch's name.
    return ".." in text or text.endswith((".", ".lock")) or bool(_DIGESTED.search(text))


@dataclass(frozen=True)
class Slot:
    """
    Where the workspace of one agent in one run is, and our notes on it.

    :param root: The workspace root.
    :param run: The run's folder below it, ``<home of the scope>/<dag>/<run>``.
    :param name: The agent's name in it.
    """

    root: Path
    run: Path
    name: str

    @property
    def home(self) -> Path:
        """The folder of the scope: no relative name leads out of it."""
        return self.run.parent.parent

    @property
    def folder(self) -> Path:
        """The workspace."""
        return self.run / self.name

    @property
    def notes(self) -> Path:
        """The folder of our own files about the run's workspaces."""
        return self.run / OWN

    @property
    def record(self) -> Path:
        """What the workspace is: :class:`~cis_provider.workspaces.record.Record`."""
        return self.notes / f"{self.name}.json"

    @property
    def start(self) -> Path:
        """The copy of a folder as it was at the agent's start."""
        return self.notes / f"{self.name}.start"

    @property
    def failed(self) -> Path:
        """What a failed agent left in a folder that was put back."""
        return self.notes / f"{self.name}.failed"

    def later(self, generation: int) -> Slot:
        """The slot for another workspace of the same agent and run, once what it is made from has changed."""
        # "~" is in no safe name, so that no other agent can have this one.
        return self if generation < 2 else Slot(self.root, self.run, f"{self.name}~{generation}")


def slot_of(root: Path, key: SessionKey, scope: TaskScope = GLOBAL) -> Slot:
    """The place of ``key``'s workspace below ``root``, for an agent of ``scope``."""
    run = home_of(root, scope) / safe_name(key.dag_id) / safe_name(key.run_id)
    return Slot(root, run, _agent(key))


def branch_of(key: SessionKey) -> str:
    """Name of the branch of ``key``'s worktree: ``cis/<dag>/<run>/<agent>``."""
    return f"cis/{safe_name(key.dag_id)}/{safe_name(key.run_id)}/{_agent(key)}"


def _agent(key: SessionKey) -> str:
    # "@" is in no safe name, either.
    return safe_name(key.task_id) + (f"@{key.map_index}" if key.map_index >= 0 else "")
