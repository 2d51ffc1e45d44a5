"""Keys of agents, out of Airflow connections."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from cis_provider.errors import PermanentAgentError
from cis_provider.model.credentials import Credentials, key_kind, variables_for

if TYPE_CHECKING:
    from airflow.sdk import Connection

#: The connection type; ``get_provider_info`` has its form.
CONN_TYPE = "cis_agent"

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_TEXTS = ("runtime", "provider", "kind", "account")


@dataclass(frozen=True)
class Login:
    """
    A connection as a request has it.

    :param env: Variables of the agent; secret ones are ``${NAME}`` there.
    :param secrets: Values of those names.
    """

    env: dict[str, str] = field(default_factory=dict)
    secrets: dict[str, str] = field(default_factory=dict, repr=False)
    account: str = ""


def login_for(conn_id: str, agent_type: str, model: str = "") -> Login:
    """
    The login that a connection gives to an agent; nothing without one.

    :param model: The agent's model, which may name a vendor.
    :raises PermanentAgentError: There is no such connection, or it is of no use for this type.
    :raises StoreError: Airflow did not say whether there is one.
    """
    if not conn_id:
        return Login()
    credentials = read_credentials(conn_id)
    found = variables_for(agent_type, credentials, model=model)
    # Names of their own: a file's ${ANTHROPIC_API_KEY} is the node's, not the connection's.
    names = {name: f"CIS_CONNECTION_{name}" for name in found.secret}
    return Login(
        env={
            **{name: value.replace("${", "$${") for name, value in found.plain.items()},
            **{name: f"${{{secret}}}" for name, secret in names.items()},
        },
        secrets={names[name]: value for name, value in found.secret.items()},
        account=credentials.account,
    )


def read_credentials(conn_id: str) -> Credentials:
    """
    A connection, read in the task's process.

    :raises PermanentAgentError: There is none, or it is of no use for an agent.
    :raises StoreError: Airflow did not say whether there is one; a retry may help.
    """
    from cis_provider.context.hooks import find_connection

    connection = find_connection(conn_id)
    if connection is None:
        raise PermanentAgentError(
            f"there is no Airflow connection {conn_id!r}: add it with type {CONN_TYPE}, "
            "or remove `connection` to use the login that the program has"
        )
    return from_connection(conn_id, connection)


def from_connection(conn_id: str, connection: Connection) -> Credentials:
    """
    What a connection holds for an agent.

    :raises PermanentAgentError: It is of another type, or a field cannot be used. Says no value of it.
    """
    # The UI and environment variables write a type with "_", URIs with "-".
    if (connection.conn_type or "").replace("-", "_") != CONN_TYPE:
        raise PermanentAgentError(
            f"connection {conn_id!r} has type {connection.conn_type!r}: an agent needs one of type {CONN_TYPE}"
        )
    extra = _extra(conn_id, connection.extra)
    texts = {name: str(extra[name]).strip() for name in _TEXTS if extra.get(name) not in (None, "")}
    kind = key_kind(texts.pop("kind", "api-key"), conn_id)
    return Credentials(
        conn_id=conn_id,
        key=(connection.password or "").strip(),
        base_url=_address(connection),
        kind=kind,
        env=_env(conn_id, extra.get("env")),
        **texts,
    )


def _extra(conn_id: str, text: str | None) -> dict[str, Any]:
    try:
        extra = json.loads(text) if text else {}
    except ValueError:
        extra = None
    if not isinstance(extra, dict):
        raise PermanentAgentError(f"connection {conn_id!r}: its extra is no JSON object")
    return extra


def _env(conn_id: str, given: Any) -> dict[str, str]:
    if isinstance(given, str) and given.strip():
        try:
            given = json.loads(given)
        except ValueError:
            given = [given]
    if not given:
        return {}
    if not isinstance(given, dict):
        raise PermanentAgentError(f"connection {conn_id!r}: field 'env' is no JSON object of variables")
    for name, value in given.items():
        if (
            not _VARIABLE.fullmatch(name)
            or not isinstance(value, str | int | float)
            or name.startswith("CIS_")
        ):
            raise PermanentAgentError(
                f"connection {conn_id!r}: field 'env': {name!r} is no variable with a text, or it is one of ours"
            )
    return {
        name: str(value).lower() if isinstance(value, bool) else str(value) for name, value in given.items()
    }


def _address(connection: Connection) -> str:
    host = (connection.host or "").strip()
    if not host or "://" in host:
        return host
    port = f":{connection.port}" if connection.port else ""
    return f"{connection.schema or 'https'}://{host}{port}"
