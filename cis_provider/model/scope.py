"""Whom a worker belongs to: a project, a user, a type of work, or everybody."""

from __future__ import annotations

import re
import unicodedata
from typing import Literal, get_args

import msgspec

from cis_provider.errors import ConfigError

ScopeKind = Literal["project", "user", "type", "global"]

#: Characters of an id, and its bytes as UTF-8.
MAX_CHARACTERS, MAX_BYTES = 64, 128

#: Ids end up in names of workers, pools and folders: no slash, no dots alone, no control characters.
_ID = re.compile(r"[^\W_][\w.@+-]*")

_ALLOWED = (
    f"an id is up to {MAX_CHARACTERS} letters or digits of any script, '.', '_', '-', '@' or '+' "
    f"(at most {MAX_BYTES} bytes as UTF-8); the first is a letter or digit, and there is no '..'"
)


class TaskScope(msgspec.Struct, frozen=True):
    """
    A scope, written ``project:proj-a``, ``user:123``, ``type:backup`` or ``global``.

    Ids are kept in Unicode's form NFC: what looks the same, and is typed on different machines, is the same.

    :param kind: One of ``project``, ``user``, ``type``, ``global``.
    :param id: Up to 64 letters or digits of any script, ``. _ - @ +``, at most 128 bytes; the first is a
        letter or digit; empty for ``global``.
    :raises ConfigError: No such kind, or no id; the message says what is allowed.
    """

    kind: ScopeKind
    id: str = ""

    def __post_init__(self) -> None:
        if self.kind not in get_args(ScopeKind):
            raise ConfigError(
                f"{self.kind!r} is no kind of scope; there are {', '.join(get_args(ScopeKind))}"
            )
        if self.kind == "global":
            if self.id:
                raise ConfigError(f"the global scope has no id, but got {self.id!r}")
            return
        scope_id = self.id if self.id.isascii() else unicodedata.normalize("NFC", self.id)
        if not _is_id(scope_id):
            raise ConfigError(f"scope {self.kind}:{_shown(self.id)}: {_ALLOWED}")
        if scope_id != self.id:
            msgspec.structs.force_setattr(self, "id", scope_id)

    @classmethod
    def project(cls, scope_id: str) -> TaskScope:
        """
        The scope of a project.

        :raises ConfigError: No id.
        """
        return cls("project", scope_id)

    @classmethod
    def user(cls, scope_id: str) -> TaskScope:
        """
        The scope of a user.

        :raises ConfigError: No id.
        """
        return cls("user", scope_id)

    @classmethod
    def type(cls, scope_id: str) -> TaskScope:
        """
        The scope of a type of work.

        :raises ConfigError: No id.
        """
        return cls("type", scope_id)

    @classmethod
    def parse(cls, text: str) -> TaskScope:
        """
        Read ``kind:id`` or ``global``.

        :raises ConfigError: Not a scope; the message says what one looks like.
        """
        kind, _, scope_id = text.partition(":")
        if kind not in get_args(ScopeKind) or (kind == "global" and text != "global"):
            raise ConfigError(f"{_shown(text)} is no scope; write project:ID, user:ID, type:ID or global")
        return cls(kind, scope_id)  # type: ignore[arg-type]

    def __str__(self) -> str:
        return self.kind if self.kind == "global" else f"{self.kind}:{self.id}"

    @property
    def worker_name(self) -> str:
        """
        Name of the scope's worker on a node: ``worker-project-proj-a``, ``worker-global``.

        Different for every scope; a name of one file, of at most 143 bytes.
        """
        return "worker-global" if self.kind == "global" else f"worker-{self.kind}-{self.id}"


def _is_id(text: str) -> bool:
    return (
        len(text) <= MAX_CHARACTERS
        and _ID.fullmatch(text) is not None
        and ".." not in text
        and len(text.encode()) <= MAX_BYTES
    )


def _shown(text: str) -> str:
    return repr(text) if len(text) <= 80 else f"{text[:77]!r}..."


GLOBAL = TaskScope("global")
