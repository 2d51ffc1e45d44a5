"""Where Claude Code is, and how it is started."""

from __future__ import annotations

import importlib.util
import json
import os
from pathlib import Path

from cis_provider.errors import PermanentAgentError
from cis_provider.files import write_atomic
from cis_provider.runtimes.base import Setting
from cis_provider.runtimes.claude import mcp
from cis_provider.runtimes.process import look_up

INSTALL = "pip install 'cis-provider[claude]' brings it, as does npm install -g @anthropic-ai/claude-code"

#: "default" is what 2.1.329 calls "manual", and 2.1.197 refuses "manual". Never left out: its own is "auto".
_MODES = {"ask": "default", "accept-edits": "acceptEdits", "plan": "plan", "everything": "bypassPermissions"}

#: What every agent's Claude is told: it is not to phone home, to update itself, or to repeat failed calls for
#: minutes (10 times by default, on a wrong key, too). The agent's own environment wins.
_DEFAULTS = {
    "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
    "DISABLE_AUTOUPDATER": "1",
    "CLAUDE_CODE_MAX_RETRIES": "3",
}


def bundled_program() -> Path | None:
    """The binary in the package ``claude-agent-sdk``, if that is installed. Imports nothing of it."""
    spec = importlib.util.find_spec("claude_agent_sdk")
    if spec is None or spec.origin is None:
        return None
    program = Path(spec.origin).parent / "_bundled" / "claude"
    return program if os.access(program, os.X_OK) else None


def find_claude(setting: Setting) -> list[str]:
    """
    Program and leading arguments: ``program`` of the agent, else ``claude`` on its ``PATH``, else the bundled one.

    :raises PermanentAgentError: There is none.
    """
    wanted = list(setting.options.program)
    name = wanted[0] if wanted else "claude"
    if found := look_up(name, path=setting.env.get("PATH", os.defpath), folder=setting.workspace):
        return [found, *wanted[1:]]
    if not wanted and (bundled := bundled_program()):
        return [str(bundled)]
    raise PermanentAgentError(f"Claude Code: {name!r} is not there or not executable; {INSTALL}")


def headless(setting: Setting, conversation_id: str) -> list[str]:
    """
    The command that one talks with over its pipes.

    :param conversation_id: Of the conversation to go on with, or for the new one: a UUID.
    """
    new = [] if setting.resume else [f"--session-id={conversation_id}"]
    return [
        *find_claude(setting),
        "--output-format=stream-json",
        "--input-format=stream-json",
        "--verbose",
        "--permission-prompt-tool=stdio",
        *new,
        *([f"--json-schema={json.dumps(schema)}"] if (schema := setting.options.output_schema) else []),
        *_common(setting, setting.resume),
    ]


def terminal(setting: Setting, conversation_id: str) -> list[str]:
    """The command for a human at a terminal, in the same conversation."""
    return [
        *find_claude(setting),
        *_common(setting, conversation_id),
    ]


def _common(setting: Setting, resume: str) -> list[str]:
    options = setting.options
    # `--flag=value`: a value that begins with a dash stays a value.
    words = [f"--permission-mode={_MODES[options.permissions.policy]}"]
    if resume:
        words.append(f"--resume={resume}")
    if options.model:
        words.append(f"--model={options.model}")
    if options.effort:
        words.append(f"--effort={options.effort}")
    if options.system_prompt:
        path = _own_file(setting, "system-prompt.txt", options.system_prompt)
        words.append(f"--append-system-prompt-file={path}")
    if options.tools:
        words.append(f"--tools={','.join(options.tools)}")
    if options.denied_tools:
        words.append(f"--disallowedTools={','.join(options.denied_tools)}")
    if options.permissions.allow:
        words.append(f"--allowedTools={','.join(options.permissions.allow)}")
    if options.mcp_servers:
        words.append(f"--mcp-config={_mcp_file(setting)}")
    return [*words, *options.args]


def _own_file(setting: Setting, name: str, text: str) -> Path:
    """A file of the session's own, mode 0600: on a command line everybody could read it, and it has a limit."""
    path = setting.folder / name
    write_atomic(path, text.encode())
    return path


def _mcp_file(setting: Setting) -> Path:
    servers, _ = mcp.servers(setting.options.mcp_servers, setting.env)
    return _own_file(setting, "mcp.json", json.dumps({"mcpServers": servers}))


def environment(setting: Setting) -> dict[str, str]:
    """The agent's environment, and what Claude Code needs besides."""
    _, hidden = mcp.servers(setting.options.mcp_servers, setting.env)
    env = _DEFAULTS | setting.env | hidden
    if setting.options.permissions.policy == "everything" and os.geteuid() == 0:
        # Claude Code refuses that mode to root, but in a sandbox; the file's author has said the word.
        env["IS_SANDBOX"] = "1"
    return env
