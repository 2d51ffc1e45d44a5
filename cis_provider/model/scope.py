"""Whom a worker belongs to: a project, a user, a type of work, or everybody."""

from __future__ import annotations

import re
from typing import Literal, get_args

import msgspec

from cis_provider.errors import ConfigError

ScopeKind = Literal["project", "user", "type", "global"]

#: Ids end up in names of workers, pools and folders: no slash, no dots alone, nothing a shell would see.
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


class TaskScope(msgspec.Struct, frozen=True):
    """
    A scope, written ``project:proj-a``, ``user:123``, ``type:backup`` or ``global``.

    :param kind: One of ``project``, ``user``, ``type``, ``global``.
    :param id: Up to 64 of ``A-Z a-z 0-9 . _ -``, the first a letter or digit; empty for ``global``.
    """

    kind: ScopeKind
    id: str = ""

    def __post_init__(self) -> None:
        if self.kind == "global":
            if self.id:
                raise ConfigError(f"the global scope has no id, but got {self.id!r}")
        elif not _ID.fullmatch(self.id) or ".." in self.id:
            raise ConfigError(
                f"scope {self.kind}:{self.id!r}: an id is up to 64 letters, digits, '.', '_' or '-', "
                "starting with a letter or digit, without '..'"
            )

    @classmethod
    def parse(cls, text: str) -> TaskScope:
        """
        Read ``kind:id`` or ``global``.

        :raises ConfigError: Not a scope; the message says what one looks like.
        """
        kind, _, scope_id = text.partition(":")
        if kind not in get_args(ScopeKind) or (kind == "global" and text != "global"):
            raise ConfigError(f"{text!r} is no scope; write project:ID, user:ID, type:ID or global")
        return cls(kind, scope_id)  # type: ignore[arg-type]

    def __str__(self) -> str:
        return self.kind if self.kind == "global" else f"{self.kind}:{self.id}"

    @property
    def worker_name(self) -> str:
        """Name of the scope's worker on a node: ``worker-project-proj-a``, ``worker-global``."""
        return "worker-global" if self.kind == "global" else f"worker-{self.kind}-{self.id}"


GLOBAL = TaskScope("global")
