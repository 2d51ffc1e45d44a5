"""What an agent's file says of permissions, in Codex's words; and which requests need no human. Pure."""

from __future__ import annotations

import re
from fnmatch import fnmatchcase
from typing import Any, Literal

import msgspec

from cis_provider.errors import PermanentAgentError
from cis_provider.model.options import AgentOptions, Permissions

Approval = Literal["untrusted", "on-request", "never"]
Sandbox = Literal["read-only", "workspace-write", "danger-full-access"]

#: Policy -> ``AskForApproval`` and ``SandboxMode`` of the protocol.
#: ``untrusted`` asks for every command that is not known to be harmless and for every change of a file;
#: ``on-request`` asks for what the sandbox would not let pass. ``plan`` is asked too, but refused here, so
#: that the end of the turn says what was refused.
_POLICIES: dict[str, tuple[Approval, Sandbox]] = {
    "ask": ("untrusted", "workspace-write"),
    "accept-edits": ("on-request", "workspace-write"),
    "plan": ("on-request", "read-only"),
    "everything": ("never", "danger-full-access"),
}

_PATTERN = re.compile(r"\s*([\w.*:-]+)\s*(?:\((.*)\))?\s*", re.DOTALL)

#: With one of these, a command is more than its first words say.
_COMPOUND = re.compile(r"[;&|<>`$\n\r(){}\\]")

#: Tools that can be switched off, in small letters, and by which setting of config.toml.
_SWITCHES: dict[str, tuple[str, Any]] = {
    "websearch": ("web_search", "disabled"),
    "web_search": ("web_search", "disabled"),
    "viewimage": ("tools.view_image", False),
    "view_image": ("tools.view_image", False),
}


class Wish(msgspec.Struct, frozen=True):
    """
    Something Codex wants to do.

    :param names: What patterns may call it, in small letters.
    :param subjects: The command, or the files; a pattern must fit all of them.
    :param is_command: Whether a subject is a command line.
    """

    names: tuple[str, ...]
    subjects: tuple[str, ...] = ()
    is_command: bool = False


def mode(permissions: Permissions) -> tuple[Approval, Sandbox]:
    """When Codex is to ask, and what its sandbox lets pass."""
    return _POLICIES[permissions.policy]


def terminal_mode(permissions: Permissions) -> tuple[Approval, Sandbox]:
    """
    The same for its terminal interface, whose settings have no ``untrusted`` any more (0.169.0): where nothing
    can be written it asks for every change, which is the nearest.
    """
    approval, sandbox = mode(permissions)
    return ("on-request", "read-only") if approval == "untrusted" else (approval, sandbox)


def decide(permissions: Permissions, wish: Wish) -> tuple[Literal["allow", "reject", "ask"], str]:
    """What happens to a wish, and by which part of the agent's file."""
    for pattern in permissions.allow:
        if matches(pattern, wish):
            return "allow", f"allowed by {pattern!r}"
    if permissions.policy == "everything":
        return "allow", "allowed by policy 'everything'"
    if permissions.policy == "plan":
        return "reject", "refused by policy 'plan'"
    return "ask", ""


def matches(pattern: str, wish: Wish) -> bool:
    """
    Whether ``Name`` or ``Name(subject)`` means this wish; ``*`` and ``?`` as in file names.

    A command of more than one part (``git log; rm -r x``) is not what ``Bash(git *)`` allows: it matches only
    as a whole, word by word, or with ``*`` alone.
    """
    found = _PATTERN.fullmatch(pattern)
    if found is None or not any(fnmatchcase(name, found[1].lower()) for name in wish.names):
        return False
    wanted = found[2]
    if wanted is None or wanted == "*":
        return True
    return bool(wish.subjects) and all(_fits(wanted, one, wish.is_command) for one in wish.subjects)


def _fits(wanted: str, subject: str, is_command: bool) -> bool:
    if wanted == subject:
        return True
    if is_command and _COMPOUND.search(subject):
        return False
    return fnmatchcase(subject, wanted.replace(":*", "*") if is_command else wanted)


def switched_off(options: AgentOptions) -> dict[str, Any]:
    """
    Settings that take tools away.

    :raises PermanentAgentError: Codex has no such switch.
    """
    if options.tools:
        raise PermanentAgentError(
            f"codex cannot be limited to the tools {', '.join(options.tools)}: it has no list of tools; "
            "leave 'tools' out, and use 'permissions' and 'denied_tools'"
        )
    settings: dict[str, Any] = {}
    for name in options.denied_tools:
        server, _, tool = name.removeprefix("mcp__").partition("__")
        if switch := _SWITCHES.get(name.lower()):
            settings[switch[0]] = switch[1]
        elif name.startswith("mcp__") and tool and server in options.mcp_servers:
            settings.setdefault(f"mcp_servers.{server}.disabled_tools", []).append(tool)
        else:
            raise PermanentAgentError(
                f"codex cannot switch off the tool {name!r}; denied_tools can be WebSearch, view_image, or "
                "mcp__SERVER__TOOL of a server in mcp_servers. For commands use the permission policy 'ask'"
            )
    return settings
