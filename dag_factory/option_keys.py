"""Keys of an agent that say how its program is driven: what is below ``options`` of the operator."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BaseModel, Discriminator, Field, Tag, model_validator
from pydantic_core import PydanticCustomError

from cis_provider.model.options import PermissionPolicy
from dag_factory.blocked_keys import BlockedKeys, plain_on_blocked
from dag_factory.kinds import Amount, Count, Env, Model, Name, Schema, Words

#: Keys that a script can have, too.
SHELL_TOO = frozenset({"check", "check_retries"})

Text = Annotated[str, Field(min_length=1)]
Word = Annotated[str, Field()]
Config = Annotated[dict[str, Any], Field()]


def _form(value: Any) -> str | None:
    return "text" if isinstance(value, str) else "mapping" if isinstance(value, dict | BaseModel) else None


class PermissionsKeys(Model):
    """What an agent may do unasked. A word alone is the policy."""

    policy: PermissionPolicy = Field(
        "ask",
        description="ask: what the program would ask a human; accept-edits: files of the workspace may be "
        "changed; plan: nothing is changed; everything: nothing is asked, for isolated machines only",
    )
    allow: tuple[Text, ...] = Field(
        (), description="Patterns of tool calls that are allowed besides, such as Bash(git *)"
    )


class McpServerKeys(Model):
    """A server of the Model Context Protocol: `command` for one on standard input and output, or `url`."""

    command: Words = Field((), description="Program and arguments")
    env: Env = Field({}, description="Variables of that program; ${NAME} is read on the node")
    url: str = Field("", description="Address of a server over HTTP")
    headers: dict[str, str] = Field({}, description="For url; ${NAME} is read on the node")

    @model_validator(mode="after")
    def _one_way(self) -> McpServerKeys:
        if bool(self.command) == bool(self.url):
            raise PydanticCustomError("F103", "needs one of command and url")
        if self.headers and not self.url:
            raise PydanticCustomError("F103", "has headers, which belong to url")
        if self.env and not self.command:
            raise PydanticCustomError("F103", "has env, which belongs to command")
        return self


class SessionFrom(Model):
    """Another agent's conversation."""

    from_: Name = Field(alias="from", description="Id of that agent, which must be in deps")


PermissionsKey = Annotated[
    Annotated[PermissionPolicy, Tag("text")] | Annotated[PermissionsKeys, Tag("mapping")],
    Discriminator(
        _form,
        custom_error_type="F103",
        custom_error_message="must be ask, accept-edits, plan, everything or {policy: ..., allow: [...]}",
    ),
]
SessionKey = Annotated[
    Annotated[Name, Tag("text")] | Annotated[SessionFrom, Tag("mapping")],
    Discriminator(_form, custom_error_type="F103", custom_error_message="must be a name or {from: AGENT}"),
]


class OptionKeys(Model):
    """How an agent's program is driven; see :class:`~cis_provider.model.options.AgentOptions`."""

    model: str = Field("", description="The model, as the program knows it; by default the program's own")
    effort: str = Field("", description="How hard it thinks: low, medium, high, or what the program knows")
    system_prompt: str = Field("", description="Added to the program's own")
    tools: tuple[Text, ...] = Field((), description="Names of the tools it has; all by default")
    denied_tools: tuple[Text, ...] = Field((), description="Names of tools that it has not")
    permissions: PermissionsKey | None = Field(None, description="What it may do unasked; ask by default")
    mcp_servers: dict[str, McpServerKeys] = Field({}, description="MCP servers by name")
    program: Words = Field(
        (),
        description="For acp and terminal: program and arguments. For others: another binary of it. "
        "A relative path begins in the workspace",
    )
    args: tuple[Word, ...] = Field((), description="Further arguments of the program")
    config: Config = Field({}, description="What only its runtime knows; ${NAME} is read on the node")
    connection: str = Field(
        "", description="Airflow connection with its key; by default the login that the program has"
    )
    check: str = Field("", description="Bash command that says whether the work is done")
    check_retries: Count = Field(2, description="How often a failed check goes back to the agent")
    max_turns: Count = Field(0, description="Turns after which it must wrap up; 0: no limit")
    max_cost_usd: Amount = Field(0.0, description="US dollars after which it must wrap up; 0: no limit")
    max_tokens: Count = Field(0, description="Tokens after which it must wrap up; 0: no limit")
    output_schema: Schema = Field({}, description="What its answer must fit; any text by default")
    session: SessionKey | None = Field(
        None, description="A conversation kept over agents and runs; by default one of its own"
    )
    fallback: tuple[Text, ...] = Field(
        (), description="Types that may take over, in this order, while a usage limit lasts"
    )


class DrivingKeys(BlockedKeys, OptionKeys):
    """How its program is driven, and what happens when it is blocked."""


def plain_options(keys: DrivingKeys) -> Mapping[str, Any]:
    """The keys as plain JSON of :class:`~cis_provider.model.options.AgentOptions`; only what is given."""
    given = keys.model_dump(include=set(_SAME), exclude_defaults=True, mode="json")
    if isinstance(keys.permissions, PermissionsKeys):
        given["permissions"] = keys.permissions.model_dump(exclude_defaults=True, mode="json")
    elif keys.permissions is not None:
        given["permissions"] = {"policy": keys.permissions}
    budget = {name: value for name in _BUDGET if (value := getattr(keys, name))}
    if budget:
        given["budget"] = budget
    if isinstance(keys.session, SessionFrom):
        given["session_from"] = keys.session.from_
    elif keys.session is not None:
        given["session"] = keys.session
    if on_blocked := plain_on_blocked(keys):
        given["on_blocked"] = on_blocked
    return given


_BUDGET = ("max_turns", "max_cost_usd", "max_tokens")
_ELSEWHERE = {"permissions", "session", "connection", *_BUDGET}
_SAME = [name for name in OptionKeys.model_fields if name not in _ELSEWHERE]
