"""What the node's settings say of scopes: read once for all files of a folder."""

from __future__ import annotations

import os
import pwd
from typing import get_args

from cis_provider import settings
from cis_provider.errors import ConfigError
from cis_provider.model.scope import ScopeKind
from dag_factory.scopes import ScopeRules


def read_rules() -> ScopeRules:
    """
    The settings as they are now.

    Never raises: settings of no use are a mistake of each file, not the end of all DAGs.
    """
    try:
        return ScopeRules(
            isolation=settings.text("worker.scope_isolation"),
            prefixes=tuple(map(_prefix, settings.texts("worker.scope_prefixes"))),
            suffixes=tuple(suffix for suffix in settings.texts("worker.scope_suffixes") if suffix),
            slots=settings.integer("worker.max_concurrent_tasks"),
        )
    except ConfigError as error:
        return ScopeRules("global", (), (), 1, problem=str(error))


def user_name(uid: int | None = None) -> str:
    """The login name of a user, by default this process's; the number where there is no name."""
    uid = os.getuid() if uid is None else uid
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _prefix(text: str) -> tuple[ScopeKind, str]:
    """
    :raises ConfigError: It is no KIND=PREFIX.
    """
    kind, _, prefix = text.partition("=")
    for known in get_args(ScopeKind):
        if kind == known != "global" and prefix:
            return known, prefix
    source = settings.resolve("worker.scope_prefixes").source
    raise ConfigError(
        f"{source}: worker.scope_prefixes: {text!r} is no KIND=PREFIX such as project=proj-; "
        "kinds are project, user, type"
    )
