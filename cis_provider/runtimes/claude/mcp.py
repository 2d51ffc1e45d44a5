"""The MCP servers of an agent as Claude Code's ``--mcp-config`` wants them. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cis_provider.errors import ConfigError, PermanentAgentError
from cis_provider.model.options import McpServer
from cis_provider.model.placeholders import substitute


def servers(wanted: Mapping[str, McpServer], env: Mapping[str, str]) -> tuple[dict[str, Any], dict[str, str]]:
    """
    What stands in the file, and the variables that Claude Code must have besides.

    The file outlives a worker that is killed, and a terminal that a human goes on in. So it holds no value of
    a variable, a header or an address: Claude Code fills in ``${NAME}`` from its environment, once.

    :param env: The agent's; ``${NAME}`` in values is read there.
    :raises PermanentAgentError: A ``${NAME}`` is not set.
    """
    values: dict[str, str] = {}

    def hide(text: str) -> str:
        name = f"CIS_MCP_{len(values)}"
        values[name] = text
        return f"${{{name}}}"

    def hide_all(texts: Mapping[str, str]) -> dict[str, str]:
        return {name: hide(substitute(text, env.get)) for name, text in texts.items()}

    def shape(server: McpServer) -> dict[str, Any]:
        if server.url:
            url = hide(substitute(server.url, env.get))
            return {"type": "http", "url": url, "headers": hide_all(server.headers)}
        # What looks like a variable in an argument is meant for the program, a shell for example.
        command, *args = [hide(word) if "${" in word else word for word in server.command]
        return {"command": command, "args": args, "env": hide_all(server.env)}

    made = {}
    for name, server in sorted(wanted.items()):
        try:
            made[name] = shape(server)
        except ConfigError as error:
            raise PermanentAgentError(f"MCP server {name!r}: {error}; set it on this node") from error
    return made, values
