"""
Where ``claude-agent-sdk`` meets our process. The only module that imports it, with :mod:`.messages`.

Importing it takes half a second and 50 MB: :class:`ClaudeConversation` does so in a thread, with the first
conversation.
"""

from __future__ import annotations

import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any

from claude_agent_sdk import (
    ClaudeAgentOptions,
    ClaudeSDKClient,
    CLIConnectionError,
    Message,
    PermissionResultAllow,
    PermissionResultDeny,
    PermissionUpdate,
    ProcessError,
    ToolPermissionContext,
    Transport,
)
from claude_agent_sdk._errors import MessageParseError

from cis_provider.runtimes.claude.messages import Reader
from cis_provider.runtimes.process import AgentProcess

__all__ = ["CLIConnectionError", "Reader", "connect", "described", "messages"]

log = logging.getLogger(__name__)

# It calls every end of the program a fatal error; what an end means is told by our own last event.
logging.getLogger("claude_agent_sdk._internal.query").setLevel(logging.CRITICAL)

#: Asked with a ``can_use_tool`` request; gives the response in the words of the protocol.
Ask = Callable[[dict[str, Any]], Awaitable[dict[str, Any]]]


class PipeTransport(Transport):
    """
    The pipes of a process that we started.

    The SDK's own transport gives the program the environment of this process, secrets of other agents
    included, and kills the program without what it started.
    """

    def __init__(self, process: AgentProcess) -> None:
        self._process = process

    async def connect(self) -> None:
        """Nothing: it runs already."""

    async def write(self, data: str) -> None:
        if not self.is_ready():
            raise CLIConnectionError("Claude Code has ended")
        try:
            self._process.stdin.write(data.encode())
            await self._process.stdin.drain()
        except ConnectionError as error:
            raise CLIConnectionError(f"Claude Code takes no more messages: {error}") from error

    async def read_messages(self) -> AsyncIterator[dict[str, Any]]:
        while line := await self._process.stdout.readline():
            try:
                message = json.loads(line)
            except ValueError:
                log.warning("Claude Code said what is no message: %r", line[:200])
                continue
            if isinstance(message, dict):
                yield message
        # Raised at every end: only then does the SDK wake whoever waits for a reply.
        raise ProcessError("Claude Code has ended", exit_code=await self._process.wait())

    async def close(self) -> None:
        await self._process.stop()

    def is_ready(self) -> bool:
        return self._process.exit_code is None and not self._process.stdin.is_closing()

    async def end_input(self) -> None:
        self._process.stdin.close()


async def connect(process: AgentProcess, ask: Ask) -> ClaudeSDKClient:
    """
    Shake hands with a program that was started for it.

    :param ask: Called for each tool that needs a decision; cancelled when none is wanted any more.
    :raises Exception: It ended, or refused.
    """

    async def can_use_tool(
        name: str, arguments: dict[str, Any], context: ToolPermissionContext
    ) -> PermissionResultAllow | PermissionResultDeny:
        suggested = [one.to_dict() for one in context.suggestions]
        return _result(
            await ask({"tool_name": name, "input": arguments, "permission_suggestions": suggested})
        )

    # As written: a prompt holds what other agents said, and is no place for `/commands` and `@files`.
    options = ClaudeAgentOptions(can_use_tool=can_use_tool, verbatim_prompts=True)
    client = ClaudeSDKClient(options, transport=PipeTransport(process))
    await client.connect()
    return client


async def described(client: ClaudeSDKClient) -> tuple[str, str]:
    """Its own model and its version, as it said in the handshake; empty: it did not (2.1.197 says no version)."""
    said = await client.get_server_info() or {}
    models = {one.get("value"): one.get("resolvedModel") for one in said.get("models") or ()}
    return str(models.get("default") or ""), str(said.get("claude_code_version") or "")


async def messages(client: ClaudeSDKClient) -> AsyncIterator[Message]:
    """All that it says. One that the SDK cannot read is logged and left out."""
    while True:
        try:
            async for message in client.receive_messages():
                yield message
            return
        except MessageParseError as error:
            log.warning("the SDK cannot read a message of Claude Code: %s", error)
        except ProcessError:
            return


def _result(response: Mapping[str, Any]) -> PermissionResultAllow | PermissionResultDeny:
    if response["behavior"] == "deny":
        return PermissionResultDeny(message=response["message"])
    lasting = response.get("updatedPermissions")
    return PermissionResultAllow(
        updated_input=response["updatedInput"],
        updated_permissions=None if lasting is None else [PermissionUpdate.from_dict(one) for one in lasting],
    )
