"""How Codex is started: arguments, settings over config.toml, parameters of a thread. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import msgspec

from cis_provider.errors import PermanentAgentError
from cis_provider.model.options import AgentOptions, McpServer
from cis_provider.runtimes.base import Launch, Setting
from cis_provider.runtimes.codex.permissions import mode, switched_off, terminal_mode

#: Variables with an API key, in this order; the app-server itself reads none of them.
KEYS = ("CODEX_API_KEY", "OPENAI_API_KEY")

#: The model provider that is made for such a key.
KEY_PROVIDER = "cis-api-key"

_REFERENCE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")


class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """
    ``config`` of an agent of this type.

    :param overrides: Settings of config.toml, by dotted key; never a secret: they stand on a command line.
    :param questions: Whether it may ask a human (the tool ``request_user_input``).
    :param retry_patience: Seconds without progress that its own retries may last. Without a network it would
        repeat "waiting for network" for ever.
    """

    overrides: dict[str, Any] = {}
    questions: bool = True
    retry_patience: float = 180.0


class Plan(msgspec.Struct, frozen=True):
    """
    What to start.

    :param overrides: Settings over config.toml, by dotted key. Holds no secret.
    :param env: Variables besides the agent's own; may hold secrets.
    """

    config: Config
    overrides: dict[str, Any]
    env: dict[str, str]


def plan(setting: Setting) -> Plan:
    """
    Put together what the agent's file says.

    :raises PermanentAgentError: A setting that Codex does not know, or cannot do.
    """
    options = setting.options
    try:
        config = msgspec.convert(options.config, Config)
    except msgspec.ValidationError as error:
        raise PermanentAgentError(
            f"config of a codex agent: {error}; it has overrides, questions and retry_patience"
        ) from error
    servers, env = _servers(options, setting.env)
    overrides: dict[str, Any] = {
        "check_for_update_on_startup": False,
        # Its terminal interface would leave a server and an updater behind.
        "features.daemon_auto_start": False,
        **servers,
        **switched_off(options),
    }
    if config.questions:
        overrides["features.default_mode_request_user_input"] = True
        overrides["suppress_unstable_features_warning"] = True
    if options.model:
        overrides["model"] = options.model
    if options.effort:
        overrides["model_reasoning_effort"] = options.effort
    return Plan(config, overrides | config.overrides, env)


def key_provider(env: Mapping[str, str]) -> dict[str, Any]:
    """
    Settings that let Codex use an API key of the environment; empty if there is none.

    For an account that is not logged in only. The key itself is not in them.
    """
    name = next((name for name in KEYS if env.get(name)), "")
    if not name:
        return {}
    place = f"model_providers.{KEY_PROVIDER}"
    return {
        "model_provider": KEY_PROVIDER,
        f"{place}.name": "OpenAI by API key",
        f"{place}.base_url": env.get("OPENAI_BASE_URL") or "https://api.openai.com/v1",
        f"{place}.env_key": name,
        f"{place}.wire_api": "responses",
    }


def server_argv(program: list[str], made: Plan, options: AgentOptions) -> list[str]:
    """``codex app-server``. What is in the file's ``args`` wins."""
    return [*program, "app-server", *as_arguments(made.overrides), *options.args]


def thread_parameters(setting: Setting, made: Plan, provider: dict[str, Any]) -> dict[str, Any]:
    """``ThreadStartParams`` and the like of ``ThreadResumeParams``."""
    approval, sandbox = mode(setting.options.permissions)
    params: dict[str, Any] = {
        "cwd": str(setting.workspace),
        "approvalPolicy": approval,
        "sandbox": sandbox,
    }
    if "model" in made.overrides:
        params["model"] = made.overrides["model"]
    if setting.options.system_prompt:
        params["developerInstructions"] = setting.options.system_prompt
    if provider:
        params |= {"modelProvider": provider["model_provider"], "config": provider}
    return params


def terminal(
    program: list[str], made: Plan, provider: dict[str, Any], conversation_id: str, setting: Setting
) -> Launch:
    """
    ``codex resume ID`` for a human. Since it is told what may be done, it does not ask whether to trust the
    folder.
    """
    approval, sandbox = terminal_mode(setting.options.permissions)
    overrides = {**made.overrides, **provider, "approval_policy": approval, "sandbox_mode": sandbox}
    argv = [*program, "resume", *as_arguments(overrides), *setting.options.args, conversation_id]
    return Launch(argv, dict(made.env))


def as_arguments(overrides: Mapping[str, Any]) -> list[str]:
    """``-c key=value`` for each, the value as TOML."""
    return [part for key, value in overrides.items() for part in ("-c", f"{key}={toml(value)}")]


def toml(value: Any) -> str:
    """
    A value as TOML on one line.

    :raises PermanentAgentError: TOML cannot say it.
    """
    match value:
        case bool():
            return "true" if value else "false"
        case int() | float():
            return repr(value)
        case str():
            # JSON's strings are TOML's basic strings, but for DEL.
            return msgspec.json.encode(value).decode().replace("\x7f", "\\u007F")
        case list() | tuple():
            return "[" + ", ".join(toml(one) for one in value) + "]"
        case dict():
            return "{" + ", ".join(f"{_key(key)} = {toml(one)}" for key, one in value.items()) + "}"
    raise PermanentAgentError(
        f"config.overrides of a codex agent: {value!r} cannot be a value of config.toml"
    )


def _key(key: str) -> str:
    return key if _BARE_KEY.fullmatch(key) else toml(key)


def _servers(options: AgentOptions, env: Mapping[str, str]) -> tuple[dict[str, Any], dict[str, str]]:
    settings: dict[str, Any] = {}
    extra: dict[str, str] = {}
    for number, (name, server) in enumerate(sorted(options.mcp_servers.items())):
        if not _BARE_KEY.fullmatch(name):
            raise PermanentAgentError(
                f"MCP server {name!r}: codex takes letters, digits, '_' and '-' as a name"
            )
        hidden = _Hidden(f"CIS_MCP_{number}", name, env)
        shape = _on_stdio(server, hidden) if server.command else _over_http(server, hidden)
        # One key each, so that disabled_tools can stand beside them.
        settings |= {f"mcp_servers.{name}.{key}": value for key, value in shape.items() if value}
        extra |= hidden.values
    return settings, extra


class _Hidden:
    """
    Values of variables and headers: they go by variables, since a command line can be read by every user. All
    of them, for nothing tells by now which ones the node has filled in with a secret.
    """

    def __init__(self, prefix: str, server: str, env: Mapping[str, str]) -> None:
        self.values: dict[str, str] = {}
        self._prefix = prefix
        self._server = server
        self._env = env

    def variables(self, texts: Mapping[str, str]) -> dict[str, str]:
        """For each text the name of a variable that has it, filled in."""
        return {name: self._variable(text) for name, text in texts.items()}

    def _variable(self, text: str) -> str:
        name = f"{self._prefix}_{len(self.values)}"
        self.values[name] = "${".join(_REFERENCE.sub(self._value, part) for part in text.split("$${"))
        return name

    def _value(self, found: re.Match[str]) -> str:
        name = found[1]
        if name not in self._env:
            raise PermanentAgentError(
                f"MCP server {self._server!r}: variable {name} is not set for this agent; "
                "set it in the agent's env, or by its connection"
            )
        return self._env[name]


def _on_stdio(server: McpServer, hidden: _Hidden) -> dict[str, Any]:
    names = hidden.variables(server.env)
    command = list(server.command)
    if names:
        # Codex hands a variable on under its own name only.
        if bad := next((name for name in names if not _VARIABLE.fullmatch(name)), ""):
            raise PermanentAgentError(f"MCP server: {bad!r} cannot be the name of a variable")
        script = " ".join(f'{name}="${variable}"' for name, variable in names.items())
        command = ["/bin/sh", "-c", f'export {script}; exec "$@"', "sh", *command]
    return {"command": command[0], "args": command[1:], "env_vars": list(names.values())}


def _over_http(server: McpServer, hidden: _Hidden) -> dict[str, Any]:
    return {"url": server.url, "env_http_headers": hidden.variables(server.headers)}
