"""An agent's options as an operator takes them, and as a request has them."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from cis_provider.errors import PermanentAgentError
from cis_provider.model.on_blocked import OnBlocked
from cis_provider.model.options import AgentOptions, Budget, McpServer, Permissions


def plain(options: Any) -> Any:
    """Options as plain JSON values, which Airflow can render and serialize; what is none stays as it is."""
    return msgspec.to_builtins(options) if isinstance(options, AgentOptions) else options


def to_options(plain: Mapping[str, Any] | None) -> AgentOptions:
    """
    Options of plain JSON values.

    :raises PermanentAgentError: A key is unknown, or a value is of the wrong kind; says which.
    """
    if not plain:
        return AgentOptions()
    if not isinstance(plain, Mapping):
        raise PermanentAgentError(f"options: expected a mapping, got {type(plain).__name__}")
    for path, keys, kind in _mappings(plain):
        known = kind.__struct_fields__
        for key in keys:
            if key not in known:
                near = difflib.get_close_matches(str(key), known, n=1)
                hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(known)}"
                raise PermanentAgentError(f"{path}: unknown key {key!r} ({hint})")
    try:
        return msgspec.convert(plain, AgentOptions)
    except msgspec.ValidationError as error:
        what, _, where = str(error).partition(" - at `$")
        path = f"options{where.rstrip('`')}"
        raise PermanentAgentError(f"{path}: {what[:1].lower()}{what[1:]}") from None


def _mappings(plain: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any], type[msgspec.Struct]]]:
    yield "options", plain, AgentOptions
    for name, kind in (("permissions", Permissions), ("budget", Budget), ("on_blocked", OnBlocked)):
        if isinstance(value := plain.get(name), Mapping):
            yield f"options.{name}", value, kind
    servers = plain.get("mcp_servers")
    for name, server in servers.items() if isinstance(servers, Mapping) else ():
        if isinstance(server, Mapping):
            yield f"options.mcp_servers.{name}", server, McpServer
