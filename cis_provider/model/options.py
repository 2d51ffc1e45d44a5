"""How an agent wants to be driven: what its file says besides prompt, workspace and limits of time."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from cis_provider.model.on_blocked import OnBlocked

PermissionPolicy = Literal["ask", "accept-edits", "plan", "everything"]
"""
``ask``: whatever the program would ask a human. ``accept-edits``: changes of files in the workspace are
allowed, the rest is asked. ``plan``: nothing is changed. ``everything``: nothing is asked; for isolated
machines only.
"""


class Permissions(msgspec.Struct, frozen=True, kw_only=True):
    """
    What an agent may do unasked.

    :param allow: Patterns of tool calls that are allowed on top of the policy: ``Bash(git *)``, ``Read``.
    """

    policy: PermissionPolicy = "ask"
    allow: tuple[str, ...] = ()


class Budget(msgspec.Struct, frozen=True, kw_only=True):
    """Limits of one agent over all its tries in this session; 0: none. Reached: it is asked to wrap up."""

    max_turns: int = 0
    max_cost_usd: float = 0.0
    max_tokens: int = 0


class McpServer(msgspec.Struct, frozen=True, kw_only=True):
    """
    A server of the Model Context Protocol for an agent.

    :param command: Program and arguments, for one on stdio; empty with ``url``.
    :param env: Variables of that program; values may hold ``${NAME}``.
    :param url: For one over HTTP.
    :param headers: For one over HTTP; values may hold ``${NAME}``.
    """

    command: tuple[str, ...] = ()
    env: dict[str, str] = {}
    url: str = ""
    headers: dict[str, str] = {}


class AgentOptions(msgspec.Struct, frozen=True, kw_only=True):
    """
    Settings of one agent. Empty means the program's own default.

    :param model: Name of the model, as the program knows it.
    :param effort: How hard it thinks: ``low``, ``medium``, ``high`` or what the program knows.
    :param system_prompt: Added to the program's own.
    :param tools: Names of the tools it has; empty: all.
    :param denied_tools: Names of tools that it has not.
    :param program: For ``acp`` and ``terminal``: program and arguments. For the others: another binary of it.
        A relative path begins in the workspace.
    :param args: Further arguments of the program.
    :param config: Settings that only its runtime knows; the runtime's descriptor has their schema.
    :param check: Bash command that says whether the work is done; empty: none.
    :param check_retries: How often a failed check goes back to the agent.
    :param output_schema: JSON schema of its answer; empty: any text.
    :param session: Name of a conversation that is kept over agents and runs; empty: one of its own.
    :param session_from: Upstream agent in whose conversation it goes on; empty: none.
    :param fallback: Types that may take over, in this order, while a usage limit lasts.
    :param on_blocked: What happens when it is blocked.
    """

    model: str = ""
    effort: str = ""
    system_prompt: str = ""
    tools: tuple[str, ...] = ()
    denied_tools: tuple[str, ...] = ()
    permissions: Permissions = Permissions()
    mcp_servers: dict[str, McpServer] = {}
    program: tuple[str, ...] = ()
    args: tuple[str, ...] = ()
    config: dict[str, Any] = {}
    check: str = ""
    check_retries: int = 2
    budget: Budget = Budget()
    output_schema: dict[str, Any] = {}
    session: str = ""
    session_from: str = ""
    fallback: tuple[str, ...] = ()
    on_blocked: OnBlocked = OnBlocked()
