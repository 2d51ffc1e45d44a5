"""
The texts of an agent's options in which ``${NAME}`` is read on the node: variables and headers of MCP
servers, and all of ``config``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from cis_provider.model.options import AgentOptions
from cis_provider.model.placeholders import substitute

Path = tuple[str | int, ...]


def change_texts(options: Mapping[str, Any], change: Callable[[Path, str], str]) -> dict[str, Any]:
    """
    A copy of options, as plain values, with every such text changed.

    What has not the form of options is left as it is: whoever converts them says so.

    :param change: Called with where the text is, and the text.
    """
    changed = dict(options)
    if "config" in changed:
        changed["config"] = _below(changed["config"], ("config",), change)
    if isinstance(servers := changed.get("mcp_servers"), Mapping):
        changed["mcp_servers"] = {name: _server(server, name, change) for name, server in servers.items()}
    return changed


def texts_in(options: Mapping[str, Any]) -> list[tuple[Path, str]]:
    """Where those texts are, and what they are."""
    found: list[tuple[Path, str]] = []

    def note(path: Path, text: str) -> str:
        found.append((path, text))
        return text

    change_texts(options, note)
    return found


def filled(options: AgentOptions, secrets: Mapping[str, str]) -> AgentOptions:
    """
    The options with values in the place of placeholders. For the agent's process only, never for a disk.

    Runtimes read the texts of MCP servers once more, from the agent's environment. A value that is put in here
    is not looked into then: a ``${`` of its own is escaped.

    :raises ConfigError: A ``${NAME}`` has no value.
    """
    if not options.mcp_servers and not options.config:
        return options

    def fill(path: Path, text: str) -> str:
        value = substitute(text, secrets.get)
        return value.replace("${", "$${") if path[0] == "mcp_servers" else value

    return msgspec.convert(change_texts(msgspec.to_builtins(options), fill), AgentOptions)


def _server(server: Any, name: str, change: Callable[[Path, str], str]) -> Any:
    if not isinstance(server, Mapping):
        return server
    return {
        key: _below(value, ("mcp_servers", name, key), change) if key in ("env", "headers") else value
        for key, value in server.items()
    }


def _below(value: Any, path: Path, change: Callable[[Path, str], str]) -> Any:
    if isinstance(value, str):
        return change(path, value)
    if isinstance(value, Mapping):
        return {key: _below(item, (*path, key), change) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_below(item, (*path, index), change) for index, item in enumerate(value)]
    return value
