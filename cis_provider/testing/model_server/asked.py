"""A model call as all three APIs mean it: who is asked what, with which tools. Pure."""

from __future__ import annotations

import fnmatch
from typing import Any

from msgspec import Struct

from .steps import Call, Usage, When


class Offered(Struct, frozen=True):
    """A tool that the agent offers. ``kind`` is the API's: ``function``, ``custom`` ..."""

    name: str
    kind: str = "function"
    properties: dict[str, Any] = {}


class Asked(Struct, frozen=True, kw_only=True):
    """
    One model call.

    :param last_user: The last thing that a user said.
    :param tool_results: Results of tools after that, newest last.
    :param everything: All text of the request.
    :param stream_usage: Whether a stream shall say how many tokens it used.
    """

    api: str
    model: str
    stream: bool = False
    max_tokens: int | None = None
    system: str = ""
    last_user: str = ""
    tool_results: str = ""
    everything: str = ""
    tools: tuple[Offered, ...] = ()
    stream_usage: bool = True


class Reply(Struct, frozen=True, kw_only=True):
    """What a dialect puts into words: resolved text and calls, and a serial for ids that never repeat."""

    text: str
    calls: tuple[Call, ...] = ()
    usage: Usage = Usage()
    serial: str = "0"


def matches(when: When, asked: Asked) -> bool:
    """Whether all conditions hold for a call."""
    return (
        (when.last_user_contains is None or when.last_user_contains in asked.last_user)
        and (when.any_contains is None or when.any_contains in asked.everything)
        and (when.tool_result_contains is None or when.tool_result_contains in asked.tool_results)
        and (when.model is None or fnmatch.fnmatchcase(asked.model, when.model))
        and (when.api is None or when.api == asked.api)
    )


def words_of(content: Any) -> str:
    """All text in a message's content: a string, or blocks of any API, results of tools included."""
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        return "\n".join(filter(None, map(words_of, content)))
    if isinstance(content, dict):
        return "\n".join(
            filter(None, (words_of(content[key]) for key in ("text", "content", "output") if key in content))
        )
    return ""


def pieces(words: str) -> list[str]:
    """A text in the chunks of a stream: a word each, or at most 64 parts of a long text."""
    size = max(1, -(-len(words) // 64))
    if size > 1000:
        return [words[at : at + size] for at in range(0, len(words), size)]
    found: list[str] = []
    for word in words.split(" "):
        if found and len(found[-1]) + len(word) < size:
            found[-1] += " " + word
        else:
            found.append((" " if found else "") + word)
    return found if words else []


def shell_call(command: str, tools: tuple[Offered, ...]) -> Call:
    """
    A shell command as a call of the tool that runs one, by the names that agents give it.

    :raises LookupError: None of the tools is known to run commands; the message names them.
    """
    for offered in tools:
        if offered.name.lower() in _SHELLS:
            return Call(offered.name, _shell_arguments(command, offered))
    names = ", ".join(offered.name for offered in tools) or "none"
    raise LookupError(f"no shell tool is offered; the tools are: {names}")


#: Claude, OpenCode and Kimi: bash; codex: exec_command, shell, shell_command, local_shell.
_SHELLS = {"bash", "shell", "exec_command", "shell_command", "run_command"}


def _shell_arguments(command: str, offered: Offered) -> dict[str, Any]:
    if "cmd" in offered.properties:
        return {"cmd": command}
    arguments: dict[str, Any] = {"command": command}
    if offered.properties.get("command", {}).get("type") == "array":
        arguments = {"command": ["bash", "-lc", command]}
    if "description" in offered.properties:
        arguments["description"] = "Run a command"
    return arguments
