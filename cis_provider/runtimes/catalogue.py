"""The types of agent that come with this package, as data. Versions are those that the tests drive."""

from __future__ import annotations

from typing import Any

from cis_provider.model.capability import Capability
from cis_provider.runtimes.descriptor import RuntimeDescriptor

_ALL = frozenset(Capability)

# The schemas say what the runtimes read. OpenCode takes all of its own configuration; what has no schema is
# judged by its runtime.

#: What an agent of the Agent Client Protocol can be told besides the options that all have.
_ACP_CONFIG: dict[str, Any] = {
    "type": "object",
    "properties": {
        "mode": {"type": "string", "description": "Session mode, by the id that the agent has for it"},
        "auth_method": {
            "type": "string",
            "description": "Way to log in, by the id that the agent has for it",
        },
    },
}
_STRICT_ACP_CONFIG = {**_ACP_CONFIG, "additionalProperties": False}
_RETRY_PATIENCE = {
    "retry_patience": {
        "type": "number",
        "exclusiveMinimum": 0,
        "description": "Seconds that its own retries of a failed call may last",
    }
}
_OPENCODE_CONFIG = {**_ACP_CONFIG, "properties": {**_ACP_CONFIG["properties"], **_RETRY_PATIENCE}}
_KIMI_CONFIG = {**_OPENCODE_CONFIG, "additionalProperties": False}
_CODEX_CONFIG: dict[str, Any] = {
    "type": "object",
    "properties": {
        "overrides": {
            "type": "object",
            "description": "Settings of config.toml, by dotted key; no secrets",
            "x-public": "it stands on a command line; Codex can read a secret from a variable of the agent's env, "
            "by env_key and env_http_headers of a model provider",
        },
        "questions": {"type": "boolean", "description": "Whether it may ask a human"},
        "retry_patience": {
            "type": "number",
            "exclusiveMinimum": 0,
            "description": "Seconds without progress that its own retries may last",
        },
    },
    "additionalProperties": False,
}
_TERMINAL_CONFIG: dict[str, Any] = {
    "type": "object",
    "properties": {"rules": {"type": "string", "description": "Rules of its screen: a name, or a file"}},
    "additionalProperties": False,
}
_NO_CONFIG: dict[str, Any] = {"type": "object", "properties": {}, "additionalProperties": False}

BUILT_IN = (
    RuntimeDescriptor(
        type="claude",
        display_name="Claude Code",
        factory="cis_provider.runtimes.claude:ClaudeRuntime",
        capabilities=_ALL,
        requires=("claude_agent_sdk",),
        program="claude",
        tested=("2.1.197", "2.2.0"),
        how_to_install="pip install 'cis-provider[claude]' (brings the program), "
        "or npm install -g @anthropic-ai/claude-code",
    ),
    RuntimeDescriptor(
        type="kimi",
        display_name="Kimi Code",
        factory="cis_provider.runtimes.kimi:KimiRuntime",
        capabilities=_ALL,
        config_schema=_KIMI_CONFIG,
        program="kimi",
        tested=("0.43.1", "2.2.0"),
        how_to_install="npm install -g @moonshot-ai/kimi-code (needs Node 22.19 or newer)",
    ),
    RuntimeDescriptor(
        type="opencode",
        display_name="OpenCode",
        factory="cis_provider.runtimes.opencode:OpenCodeRuntime",
        capabilities=_ALL,
        config_schema=_OPENCODE_CONFIG,
        program="opencode",
        tested=("1.17.19", "1.19.0"),
        how_to_install="npm install -g opencode-ai",
    ),
    RuntimeDescriptor(
        type="codex",
        display_name="Codex",
        factory="cis_provider.runtimes.codex:CodexRuntime",
        capabilities=_ALL,
        config_schema=_CODEX_CONFIG,
        program="codex",
        tested=("0.150.0", "0.170.0"),
        how_to_install="npm install -g @openai/codex",
    ),
    RuntimeDescriptor(
        type="aider",
        display_name="Aider",
        factory="cis_provider.runtimes.aider:AiderRuntime",
        capabilities=frozenset(
            {
                Capability.MODULE_REFACTORING,
                Capability.ENGINE_CODE_INJECTION,
                Capability.TEST_WRITING,
                Capability.DOCUMENTATION,
            }
        ),
        program="aider",
        tested=("0.84.0", "0.87.0"),
        how_to_install="pip install aider-chat, into an environment of its own",
    ),
    RuntimeDescriptor(
        type="acp",
        display_name="Any agent of the Agent Client Protocol",
        factory="cis_provider.runtimes.acp:AcpRuntime",
        config_schema=_STRICT_ACP_CONFIG,
        how_to_install="install the agent that `program` names",
    ),
    RuntimeDescriptor(
        type="terminal",
        display_name="Any program with a terminal interface",
        factory="cis_provider.runtimes.terminal:TerminalRuntime",
        config_schema=_TERMINAL_CONFIG,
        how_to_install="install the program that `program` names",
    ),
    RuntimeDescriptor(
        type="shell",
        display_name="A bash script",
        factory="cis_provider.runtimes.shell:ShellRuntime",
        config_schema=_NO_CONFIG,
        program="bash",
        how_to_install="apt install bash, dnf install bash, brew install bash",
    ),
)
