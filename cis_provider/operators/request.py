"""From an operator, its context and its upstream outputs to a session request."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from cis_provider.errors import PermanentAgentError
from cis_provider.model.option_texts import texts_in
from cis_provider.model.placeholders import unguard
from cis_provider.model.session import Exclusive, SessionKey, SessionRequest, WorkspaceRequest
from cis_provider.model.text import variable_name
from cis_provider.node_environment import values_for
from cis_provider.operators.credentials import login_for
from cis_provider.operators.options import to_options
from cis_provider.operators.turns import effective, settled_scope
from cis_provider.runtimes.registry import check_config

if TYPE_CHECKING:
    from airflow.sdk import Context

    from cis_provider.operators.outputs import UpstreamOutputs

#: Characters of upstream output in a prompt, over all upstream agents.
CONTEXT_BUDGET = 60_000


class AgentFields(Protocol):
    """What a request is made from: the fields of :class:`~cis_provider.operators.agent.AgentOperator`."""

    task_id: str
    agent_type: str
    prompt: str
    env: Mapping[str, str] | None
    workspace: str | Mapping[str, Any] | None
    base_folder: str
    rollback: bool
    scope: str
    exclusive: Exclusive | None
    max_workers: int
    options: Mapping[str, Any] | None
    agent_conn_id: str
    account: str
    timeout: float | None
    priority: int
    position: int


def build_request(
    operator: AgentFields, context: Context, outputs: UpstreamOutputs, turn: tuple[str, ...]
) -> SessionRequest:
    """
    :param turn: Scopes that the run wants for itself.
    :raises PermanentAgentError: A variable is unset, an option or connection is of no use, or the workspace
        names what is not there.
    :raises ConfigError: ``$CIS_HOME/env`` is of no use.
    :raises StoreError: Upstream outputs, or the connection with its key, cannot be read.
    """
    ti: Any = context["ti"]
    shell = operator.agent_type == "shell"
    scope = settled_scope(operator.scope)
    env = {name: _text(name, value) for name, value in (operator.env or {}).items()}
    options = to_options(operator.options)
    check_config(operator.agent_type, options.config)
    of_options = [text for _, text in texts_in(operator.options or {})]
    secrets = values_for([*env.values(), *of_options, *([] if shell else [operator.prompt])])
    login = login_for(operator.agent_conn_id, operator.agent_type, options.model)
    secrets |= login.secrets
    _mask(secrets)
    return SessionRequest(
        key=SessionKey(ti.dag_id, ti.run_id, ti.task_id, ti.map_index if ti.map_index is not None else -1),
        try_number=ti.try_number,
        max_tries=ti.max_tries,
        agent_id=operator.task_id,
        agent_type=operator.agent_type,
        command=operator.prompt if shell else _prompt(operator.prompt, outputs),
        scope=str(scope),
        exclusive=effective(operator.exclusive, scope),
        turn=turn,
        dag_limit=operator.max_workers,
        account=operator.account or login.account,
        # What the file says itself counts for more than the connection.
        env=login.env | env | _places(operator, outputs),
        secrets=secrets,
        inputs={agent_id: stored.output for agent_id, stored in outputs.stored.items()},
        workspace=workspace_request(operator.workspace, operator.base_folder, operator.rollback, outputs),
        timeout=operator.timeout or 0.0,
        priority=operator.priority,
        position=operator.position,
        options=options,
    )


def current_secrets(fields: Mapping[str, Any]) -> dict[str, str]:
    """
    Values of an agent's secrets as they are now: somebody may have mended its login.

    :param fields: Of its operator, before templates are filled in.
    :raises PermanentAgentError: A variable is unset, or the connection is of no use.
    :raises ConfigError: ``$CIS_HOME/env`` is of no use.
    :raises StoreError: The connection cannot be read.
    """
    options, env = fields.get("options") or {}, fields.get("env") or {}
    if not isinstance(options, Mapping) or not isinstance(env, Mapping):
        options, env = {}, {}
    texts = [text for _, text in texts_in(options)]
    secrets = values_for([*map(str, env.values()), *texts])
    model = str(options.get("model") or "")
    secrets |= login_for(fields.get("agent_conn_id") or "", fields["agent_type"], model).secrets
    _mask(secrets)
    return secrets


def workspace_request(
    workspace: str | Mapping[str, Any] | None, base_folder: str, rollback: bool, outputs: UpstreamOutputs
) -> WorkspaceRequest:
    """
    The folder an agent asks for, with what upstream agents left put in.

    :raises PermanentAgentError: It is none of the known forms, or its upstream agent has no workspace.
    """
    if not workspace:
        return WorkspaceRequest(kind="fresh", rollback=rollback)
    if isinstance(workspace, str):
        return WorkspaceRequest(kind="folder", path=workspace, rollback=rollback)
    shared = bool(workspace.get("shared", False))
    if path := workspace.get("path"):
        return WorkspaceRequest(kind="folder", path=str(path), shared=shared, rollback=rollback)
    if repo := workspace.get("repo"):
        return WorkspaceRequest(
            kind="worktree",
            repo=_repository(str(repo), base_folder),
            ref=str(workspace.get("ref") or ""),
            rollback=rollback,
        )
    if origin := workspace.get("from"):
        stored = outputs.stored.get(str(origin))
        if stored is None or not stored.workspace:
            raise PermanentAgentError(
                f"workspace: from: {origin}: that agent left no workspace; is it in deps?"
            )
        return WorkspaceRequest(
            kind="from_agent",
            origin=stored.workspace,
            origin_commit=stored.commit or "",
            rollback=rollback,
        )
    raise PermanentAgentError(f"workspace: {dict(workspace)!r}: expected a path, or one of path, repo, from")


def _repository(repo: str, base_folder: str) -> str:
    if "://" in repo or repo.startswith("git@"):
        return repo
    path = Path(repo).expanduser()
    return str(path if path.is_absolute() or not base_folder else Path(base_folder) / path)


def _prompt(prompt: str, outputs: UpstreamOutputs) -> str:
    if not outputs.stored:
        return prompt
    from cis_provider.context.assembly import assemble_markdown

    handed_over = assemble_markdown(list(outputs.stored.values()), budget_chars=CONTEXT_BUDGET)
    # What others said is text: it names no variable.
    return f"{unguard(handed_over, [])}\n\n{prompt}"


def _places(operator: AgentFields, outputs: UpstreamOutputs) -> dict[str, str]:
    places = {
        f"CIS_WORKSPACE_{variable_name(agent_id)}": stored.workspace
        for agent_id, stored in outputs.stored.items()
        if stored.workspace
    }
    return places | ({"CIS_BASE": operator.base_folder} if operator.base_folder else {})


def _text(name: str, value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str | int | float):
        return str(value)
    raise PermanentAgentError(f"env: {name}: expected text, got {type(value).__name__}")


def _mask(secrets: Mapping[str, str]) -> None:
    """Hide them in this task's log, too."""
    if secrets:
        from airflow.sdk.log import mask_secret

        for value in secrets.values():
            mask_secret(value)
