"""
What a CIS file may say. Unknown keys are refused; what one value cannot tell is checked in ``validate``.

These models are the only description of the format: the validator, the builder and the JSON schema are
made of them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

from pydantic import BaseModel, Discriminator, Field, Tag

from cis_provider.model.session import Exclusive
from dag_factory.blocked_keys import HUMAN, BlockedKeys
from dag_factory.kinds import (
    Account,
    Count,
    Duration,
    Env,
    Model,
    Name,
    Positive,
    Priority,
    Scope,
    Switch,
    When,
)
from dag_factory.option_keys import SHELL_TOO, DrivingKeys

#: Another name for a key: the model's own, and the one that a file may use as well.
ALIASES = {"prompt": "command", "name": "dag_id"}

#: Keys of an agent that make sense for a step where a human decides.
HUMAN_KEYS = frozenset(
    {"id", "type", "prompt", "options", "free_text", "deps", "when", "description", "node", "priority"}
    | {"approvers", "escalate_to", "answer_timeout", "on_answer_timeout"}
)
#: Keys that make sense for no other.
HUMAN_ONLY = frozenset({"options", "free_text"})


def _workspace_form(value: Any) -> str | None:
    if isinstance(value, str):
        return "text"
    if isinstance(value, BaseModel):
        return {"FolderWorkspace": "folder", "RepoWorkspace": "repository", "FromWorkspace": "agent"}.get(
            type(value).__name__
        )
    if isinstance(value, dict):
        for key, form in (("repo", "repository"), ("from", "agent"), ("path", "folder")):
            if key in value:
                return form
    return None


class FolderWorkspace(Model):
    """A folder."""

    path: str = Field(min_length=1, description="Absolute, or relative to the workspace root")
    shared: Switch = Field(False, description="Several agents may be in it at a time")


class RepoWorkspace(Model):
    """A git worktree on its own branch."""

    repo: str = Field(
        min_length=1, description="A repository on the node, relative to the file's folder, or a URL"
    )
    ref: str = Field("", description="Branch, tag or commit; by default what HEAD of the repository is")


class FromWorkspace(Model):
    """A worktree at the commit of an agent that ran before; a copy of its folder where there is no git."""

    from_: Name = Field(alias="from", description="Id of that agent")


Workspace = Annotated[
    Annotated[str, Field(min_length=1), Tag("text")]
    | Annotated[FolderWorkspace, Tag("folder")]
    | Annotated[RepoWorkspace, Tag("repository")]
    | Annotated[FromWorkspace, Tag("agent")],
    Discriminator(
        _workspace_form,
        custom_error_type="F103",
        custom_error_message="must be a folder, {path: ...}, {repo: ...} or {from: AGENT}",
    ),
]


class AgentDefaults(DrivingKeys):
    """What agents of a file have in common; an agent's own value wins, ``env`` is merged."""

    type: str | None = Field(
        None, min_length=1, description="claude, shell, ...: the runtime; human: a person decides"
    )
    workspace: Workspace | None = Field(None, description="Where it works; by default a fresh folder")
    timeout: Duration | None = Field(None, description="How long it may be at work; no limit by default")
    retries: Count = Field(0, description="Tries after the first one")
    retry_delay: Duration | None = Field(
        None, description="Time between two tries; 5 minutes by default, or what Airflow is set to"
    )
    env: Env = Field({}, description="Variables; ${NAME} is read on the node when the agent runs")
    priority: Priority = Field(
        "p2", description="Who goes first when there is no place for all; p0 is highest"
    )
    rollback: Switch = Field(
        False, description="Put its worktree, or folder below the root, back when it fails"
    )
    scope: Scope = Field(
        "", description="Whose work it is: project:ID, user:ID, type:ID or global; by default the file's"
    )
    node: Name = Field("", description="Node that it runs on: Airflow's queue; by default the file's")
    account: Account = Field(
        "", description="Whose login it uses; a node may limit how many agents use one at a time"
    )


class AgentSpec(AgentDefaults):
    """One agent: one task of the DAG."""

    id: Name = Field(description="Its name in the file and in Airflow")
    prompt: str = Field(
        min_length=1, description="What to do; for a shell agent, a bash script; for a human, the question"
    )
    deps: tuple[str, ...] = Field(
        (), description="Agents that must have ended before; their outputs are handed over"
    )
    when: When = Field(
        "success",
        description="success: all deps succeeded; failure: one of them failed; always: all have ended",
    )
    description: str = Field("", description="For people: Airflow shows it with the task")
    options: tuple[Annotated[str, Field(min_length=1, max_length=100)], ...] = Field(
        (), description="For a human: what there is to choose from; by default Approve and Reject"
    )
    free_text: Switch = Field(False, description="For a human: words of one's own may be the answer")


class DagSpec(Model):
    """A CIS file: agents, and when they run."""

    name: Name = Field(description="Id of the DAG; by default the file's name")
    agents: tuple[AgentSpec, ...] = Field(min_length=1, description="Who does the work, in any order")
    description: str = Field("", description="For people: Airflow shows it with the DAG")
    schedule: str | None = Field(
        None, description="Cron expression, or a preset such as @daily; none by default"
    )
    start_date: str | None = Field(
        None, description="Date, or date and time, before which nothing is scheduled"
    )
    timezone: str | None = Field(None, description="Of schedule and start_date, such as Europe/Berlin")
    catchup: Switch = Field(False, description="Whether missed runs since start_date are made up for")
    tags: tuple[Annotated[str, Field(min_length=1, max_length=100)], ...] = Field(
        (), description="For Airflow's list of DAGs; cis is added"
    )
    params: dict[str, Any] = Field(
        {},
        description="What a run can be given: a default value, or a JSON schema with default, for each name",
    )
    max_workers: Positive = Field(4, description="Agents at work at a time, over all runs of the DAG")
    max_active_runs: Positive | None = Field(None, description="Runs at a time")
    scope: Scope = Field(
        "", description="Whose work it is; by default found in env, in the DAG's id or in the node's settings"
    )
    exclusive: Exclusive | None = Field(
        None,
        description="run: the scope belongs to one run at a time; agent: to one agent; no: only numbers limit. "
        "By default run, for the scope global no",
    )
    node: Name = Field("", description="Node that its agents run on: Airflow's queue")
    env: Env = Field({}, description="Variables of all agents")
    defaults: AgentDefaults = Field(AgentDefaults(), description="What is the same for all agents")


def resolve_agents(spec: DagSpec) -> list[AgentSpec]:
    """The agents with the file's defaults filled in and all ``env`` merged."""
    given = {name: getattr(spec.defaults, name) for name in spec.defaults.model_fields_set if name != "env"}
    common_env = {**spec.env, **spec.defaults.env}
    if not given and not common_env:
        return list(spec.agents)
    resolved = []
    for agent in spec.agents:
        fits = _default_keys(agent.type or spec.defaults.type, calls=agent.on_blocked is not None)
        update: dict[str, Any] = {
            name: v for name, v in given.items() if name not in agent.model_fields_set and fits(name)
        }
        if common_env and fits("env"):
            update["env"] = {**common_env, **agent.env}
        resolved.append(agent.model_copy(update=update))
    return resolved


def _default_keys(kind: str | None, *, calls: bool) -> Callable[[str], bool]:
    """
    Which of the file's defaults are for an agent of this type: a file may have a script, a program, a human.

    :param calls: It says what happens when it is blocked.
    """
    if kind == HUMAN:
        return lambda name: name in HUMAN_KEYS
    if kind != "shell":
        return lambda name: True
    # What drives a program is no business of a script.
    return lambda name: (
        name not in DrivingKeys.model_fields
        or name in SHELL_TOO
        or (calls and name in BlockedKeys.model_fields)
    )
