"""
What an Airflow connection holds for an agent, and by which variables each program takes it.

The variables' names are the programs' own documentation's: Claude Code 2.1, Codex 0.169, Kimi Code 2.1,
OpenCode 1.18 and Aider 0.86.
"""

from __future__ import annotations

import json
from typing import Literal, get_args

import msgspec

from cis_provider.errors import PermanentAgentError

KeyKind = Literal["api-key", "oauth-token", "bearer-token"]

#: Types whose program asks one vendor; the others ask whom the model's name or ``provider`` says.
_OWN_VENDOR = {"claude": "anthropic", "codex": "openai", "kimi": "moonshot"}

#: Variable of the key by vendor, as OpenCode (models.dev) and Aider (litellm) name vendors.
KEY_VARIABLES = {
    "anthropic": "ANTHROPIC_API_KEY",
    "openai": "OPENAI_API_KEY",
    "openrouter": "OPENROUTER_API_KEY",
    "deepseek": "DEEPSEEK_API_KEY",
    "gemini": "GEMINI_API_KEY",
    "google": "GEMINI_API_KEY",
    "moonshot": "MOONSHOT_API_KEY",
    "moonshotai": "MOONSHOT_API_KEY",
    "zhipuai": "ZHIPU_API_KEY",
    "zai": "ZHIPU_API_KEY",
}

_CLAUDE_VARIABLES: dict[KeyKind, str] = {
    "api-key": "ANTHROPIC_API_KEY",
    "oauth-token": "CLAUDE_CODE_OAUTH_TOKEN",
    "bearer-token": "ANTHROPIC_AUTH_TOKEN",
}


class Credentials(msgspec.Struct, frozen=True, kw_only=True):
    """
    A connection of type ``cis_agent``.

    :param conn_id: Its id, for messages.
    :param key: API key or token; empty: none.
    :param base_url: Address of the API; empty: the vendor's.
    :param runtime: Type of agent that it is for; empty: any.
    :param provider: Vendor of the key, for programs that know many; empty: by the model's name.
    :param kind: What ``key`` is; only Claude Code makes a difference.
    :param account: Name of the account, by which a node may limit its agents.
    :param env: Further variables of the agent, all of them secret.
    """

    conn_id: str
    key: str = ""
    base_url: str = ""
    runtime: str = ""
    provider: str = ""
    kind: KeyKind = "api-key"
    account: str = ""
    env: dict[str, str] = {}

    def __repr__(self) -> str:
        return f"Credentials({self.conn_id!r})"  # never the key: a traceback shows locals


class Variables(msgspec.Struct, frozen=True, kw_only=True):
    """
    Variables of an agent's process.

    :param secret: Never written to a disk, masked wherever the agent prints them.
    """

    secret: dict[str, str] = {}
    plain: dict[str, str] = {}

    def __repr__(self) -> str:
        return f"Variables({', '.join([*self.secret, *self.plain])})"


def variables_for(agent_type: str, given: Credentials, *, model: str = "") -> Variables:
    """
    The variables by which a program takes a connection.

    :param model: Name of the agent's model, which may name a vendor: ``vendor/model``.
    :raises PermanentAgentError: The connection is for another type, or it cannot be told for whom its key is.
    """
    kind = given.runtime or agent_type
    if kind != agent_type and agent_type in (*_OWN_VENDOR, "opencode", "aider"):
        raise PermanentAgentError(
            f"connection {given.conn_id!r} is for agents of type {given.runtime!r}, not {agent_type!r}: "
            "name another connection, or empty its field 'runtime'"
        )
    secret: dict[str, str] = {}
    plain: dict[str, str] = {}
    if kind == "claude":
        secret[_CLAUDE_VARIABLES[given.kind]] = given.key
        plain["ANTHROPIC_BASE_URL"] = given.base_url
    elif kind == "codex":
        secret["OPENAI_API_KEY"] = secret["CODEX_API_KEY"] = given.key
        plain["OPENAI_BASE_URL"] = given.base_url
    elif kind == "kimi":
        secret["KIMI_MODEL_API_KEY"] = given.key
        plain |= {"KIMI_MODEL_BASE_URL": given.base_url, "KIMI_MODEL_NAME": model if given.key else ""}
    elif given.key or given.base_url:
        vendor = _vendor(kind, given, model)
        secret[KEY_VARIABLES[vendor]] = given.key
        if given.base_url:
            plain |= _base_url(kind, vendor, given.base_url)
    secret = {name: value for name, value in secret.items() if value} | given.env
    return Variables(
        secret=secret, plain={name: value for name, value in plain.items() if value and name not in secret}
    )


def _vendor(kind: str, given: Credentials, model: str) -> str:
    prefix = model.partition("/")[0] if "/" in model else ""
    vendor = given.provider or prefix or ("openai" if kind == "aider" else "")
    if (
        kind == "aider"
        and not given.provider
        and not prefix
        and model.startswith(("claude", "sonnet", "opus", "haiku"))
    ):
        vendor = "anthropic"
    if vendor not in KEY_VARIABLES:
        said = f"{vendor!r} is none that we know" if vendor else "nothing says whose key it is"
        raise PermanentAgentError(
            f"connection {given.conn_id!r}: {said}; set its field 'provider' to one of "
            f"{', '.join(KEY_VARIABLES)}, or put the program's variable into its field 'env'"
        )
    return vendor


def _base_url(kind: str, vendor: str, url: str) -> dict[str, str]:
    if kind == "opencode":
        # It has no variable for an address; this one is a part of its configuration (1.18).
        config = {"provider": {vendor: {"options": {"baseURL": url}}}}
        return {"OPENCODE_CONFIG_CONTENT": json.dumps(config)}
    name = KEY_VARIABLES[vendor].removesuffix("_API_KEY")
    if kind == "aider":
        return {f"{name}_API_BASE": url}  # litellm's word
    return {f"{name}_BASE_URL": url}


def key_kind(text: str, conn_id: str) -> KeyKind:
    """
    :raises PermanentAgentError: There is no such kind of key.
    """
    for known in get_args(KeyKind):
        if text == known:
            return known  # type: ignore[no-any-return]
    raise PermanentAgentError(
        f"connection {conn_id!r}: field 'kind': {text!r} is none of {', '.join(get_args(KeyKind))}"
    )
