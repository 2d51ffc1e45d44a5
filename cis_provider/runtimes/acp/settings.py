"""An agent's options in the words of the protocol. Pure."""

from __future__ import annotations

from typing import Any

from cis_provider.errors import ConfigError, PermanentAgentError
from cis_provider.model.options import McpServer
from cis_provider.model.placeholders import substitute


def mcp_servers(
    servers: dict[str, McpServer], env: dict[str, str], abilities: dict[str, Any]
) -> list[dict[str, Any]]:
    """
    ``mcpServers`` of ``session/new``, with every ``${NAME}`` filled in from the agent's environment.

    :param abilities: ``agentCapabilities.mcpCapabilities``; servers on stdio are always possible.
    :raises PermanentAgentError: A variable is not set, or the agent takes no servers over HTTP.
    """
    return [_server(name, server, env, abilities) for name, server in servers.items()]


def _server(name: str, server: McpServer, env: dict[str, str], abilities: dict[str, Any]) -> dict[str, Any]:
    if server.url:
        if not abilities.get("http"):
            raise PermanentAgentError(
                f"MCP server {name!r} is at {server.url}, but this agent takes only servers that it starts "
                "itself; give it a command"
            )
        headers = _pairs(name, server.headers, env)
        return {"type": "http", "name": name, "url": server.url, "headers": headers}
    if not server.command:
        raise PermanentAgentError(f"MCP server {name!r} has neither command nor url; give it one of them")
    return {
        "name": name,
        "command": server.command[0],
        "args": list(server.command[1:]),
        "env": _pairs(name, server.env, env),
    }


def _pairs(name: str, values: dict[str, str], env: dict[str, str]) -> list[dict[str, str]]:
    return [
        {"name": key, "value": _filled(value, env, f"MCP server {name!r}")} for key, value in values.items()
    ]


def _filled(value: str, env: dict[str, str], whose: str) -> str:
    try:
        return substitute(value, env.get)
    except ConfigError as error:
        raise PermanentAgentError(f"{whose}: {error}; add it to the agent's env") from None


def config_option(opened: dict[str, Any], category: str, *ids: str) -> dict[str, Any] | None:
    """The entry of ``configOptions`` for a category (``model``, ``mode``, ``thought_level``), or by its id."""
    given = [one for one in opened.get("configOptions") or [] if isinstance(one, dict)]
    by_category = (one for one in given if one.get("category") == category)
    return next(by_category, next((one for one in given if one.get("id") in ids), None))


def values_of(option: dict[str, Any]) -> list[tuple[str, str]]:
    """(value, name) of everything that a select option offers, groups opened."""
    found = []
    for one in option.get("options") or []:
        if isinstance(one, dict) and isinstance(one.get("options"), list):
            found += values_of(one)
        elif isinstance(one, dict):
            found.append((str(one.get("value", "")), str(one.get("name", ""))))
    return found


def value_for(option: dict[str, Any], wanted: str, what: str) -> str:
    """
    The value of an option that a CIS file means: its id, or its name, or the id without its provider.

    :raises PermanentAgentError: It offers none of that name; the message says what it offers.
    """
    offered = values_of(option)
    by_id = [value for value, _ in offered if value == wanted]
    by_name = [value for value, name in offered if name == wanted]
    without_provider = [value for value, _ in offered if value.rpartition("/")[2] == wanted]
    if found := [*by_id, *by_name, *without_provider]:
        return found[0]
    names = ", ".join(value for value, _ in offered[:20]) or "none"
    raise PermanentAgentError(f"{what} {wanted!r} is not offered by this agent; it offers: {names}")


def mode_ids(opened: dict[str, Any]) -> list[str]:
    """Ids of the session's modes, by either way that agents tell them."""
    modes = (opened.get("modes") or {}).get("availableModes") or []
    if modes:
        return [str(one.get("id", "")) for one in modes if isinstance(one, dict)]
    option = config_option(opened, "mode", "mode")
    return [value for value, _ in values_of(option)] if option else []
