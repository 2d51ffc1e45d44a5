"""OpenCode, by ``opencode acp``. What is said of it was measured on 1.18.33."""

from __future__ import annotations

import dataclasses
import json
import secrets
import socket
from pathlib import Path
from typing import Any, ClassVar

from cis_provider.errors import PermanentAgentError
from cis_provider.files import write_atomic
from cis_provider.model.options import AgentOptions
from cis_provider.runtimes.acp.journal import Journal
from cis_provider.runtimes.acp.opencode_records import OpenCodeJournal
from cis_provider.runtimes.acp.opencode_server import PASSWORD, PORT, OpenCodeQuestions, OpenCodeServer
from cis_provider.runtimes.acp.runtime import AcpRuntime
from cis_provider.runtimes.acp.side_door import SideDoor
from cis_provider.runtimes.base import Launch, Setting
from cis_provider.runtimes.process import find_program

_CONTENT = "OPENCODE_CONFIG_CONTENT"

#: What its own defaults allow and which changes nothing. Files of secrets are asked for, as it does itself.
_READING: dict[str, Any] = {
    "read": {"*": "allow", "*.env": "ask", "*.env.*": "ask", "*.env.example": "allow"},
    **dict.fromkeys(("glob", "grep", "list", "lsp", "todoread", "todowrite", "skill"), "allow"),
}

#: Over ACP, what a subagent may not do unasked is told to nobody: it would wait for ever.
_UNSEEN = "task"

#: It offers its tool for questions over ACP only with this. It asks, and is answered, on its server.
_QUESTIONS = "OPENCODE_ENABLE_QUESTION_TOOL"

#: Keys of ``config`` that are the protocol's, not OpenCode's.
_OURS = ("mode", "auth_method", "retry_patience")

#: Tools that it governs under another one's name.
_GOVERNED_BY = dict.fromkeys(("write", "patch", "multiedit", "apply_patch"), "edit")


class OpenCodeRuntime(AcpRuntime):
    """
    ``program`` may name another binary than ``opencode``. What ``config`` holds besides ``mode``, ``auth_method``
    and ``retry_patience`` is its own configuration (opencode.ai/config.json): providers, agents, formatters.
    """

    name: ClassVar[str] = "opencode"

    def prepare(self, setting: Setting) -> Setting:
        env = dict(setting.env)
        env[_QUESTIONS] = "1"
        env.setdefault(PASSWORD, secrets.token_urlsafe(24))  # else its server is open to the whole machine
        env[PORT] = str(_free_port())
        env[_CONTENT] = json.dumps(_config(setting, attended=False))
        return dataclasses.replace(setting, env=env)

    def command(self, setting: Setting) -> list[str]:
        program = find_program("opencode", setting)
        return [*program, "acp", "--port", setting.env[PORT], *setting.options.args]

    def journal(self, setting: Setting, conversation_id: str) -> Journal:
        return OpenCodeJournal(OpenCodeServer(setting.env), conversation_id)

    def side_door(self, setting: Setting, conversation_id: str) -> SideDoor:
        return OpenCodeQuestions(OpenCodeServer(setting.env), conversation_id)

    def with_system_prompt(self, setting: Setting, prompt: str) -> str:
        return prompt  # it reads files of instructions: see _config

    def terminal(self, setting: Setting, conversation_id: str) -> Launch | None:
        content = json.dumps(_config(setting, attended=True))
        return Launch([*find_program("opencode", setting), "-s", conversation_id], {_CONTENT: content})


def permissions(options: AgentOptions, *, attended: bool) -> dict[str, Any]:
    """
    Its ``permission`` setting: who is asked for what. By itself it asks for nearly nothing.

    :param attended: A human sits before it: it may ask what ACP has no words for.
    """
    given = options.config.get("permission")
    rules: dict[str, Any] = {"*": "allow" if options.permissions.policy == "everything" else "ask"}
    if rules["*"] == "ask":
        rules |= _READING | {"question": "allow"}
    else:
        rules["question"] = "deny"  # nothing is asked
    if options.tools:
        wanted = {_governed(name): rules.get(_governed(name), rules["*"]) for name in options.tools}
        rules = {"*": "deny", **wanted}
    if isinstance(given, dict):
        rules |= given
    if not attended and options.permissions.policy != "everything":
        rules[_UNSEEN] = "deny"
    return {**rules, **{_governed(name): "deny" for name in options.denied_tools}}


def _governed(tool: str) -> str:
    return _GOVERNED_BY.get(tool.lower(), tool.lower())


def _config(setting: Setting, *, attended: bool) -> dict[str, Any]:
    """What the agent's own ``OPENCODE_CONFIG_CONTENT`` says, with our permissions and system prompt."""
    given = setting.env.get(_CONTENT) or "{}"
    try:
        config = json.loads(given)
    except ValueError as error:
        raise PermanentAgentError(f"{_CONTENT} of the agent's env is no JSON: {error}") from None
    if not isinstance(config, dict):
        raise PermanentAgentError(f"{_CONTENT} of the agent's env is no JSON object")
    config = _merged(
        config, {key: value for key, value in setting.options.config.items() if key not in _OURS}
    )
    config["permission"] = permissions(setting.options, attended=attended)
    if setting.options.system_prompt:
        path = setting.folder / "instructions.md"
        _write(path, setting.options.system_prompt)
        config["instructions"] = [*dict.fromkeys([*config.get("instructions", []), str(path)])]
    return config


def _merged(one: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    """Both, the second one's word where they differ."""
    both = {**one, **other}
    for key in one.keys() & other.keys():
        if isinstance(one[key], dict) and isinstance(other[key], dict):
            both[key] = _merged(one[key], other[key])
    return both


def _write(path: Path, text: str) -> None:
    write_atomic(path, text.encode())


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])
