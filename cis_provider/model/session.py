"""A session: one agent at work. Its key, its request, its record, and what a submit means for it."""

from __future__ import annotations

from enum import StrEnum
from typing import Literal

import msgspec

from cis_provider.model.blockage import Blockage, Settled
from cis_provider.model.options import AgentOptions
from cis_provider.model.result import AgentResult


class SessionKey(msgspec.Struct, frozen=True):
    """The Airflow task instance that a session works for. The same on every try."""

    dag_id: str
    run_id: str
    task_id: str
    map_index: int = -1

    def __str__(self) -> str:
        mapped = f"[{self.map_index}]" if self.map_index >= 0 else ""
        return f"{self.dag_id}/{self.run_id}/{self.task_id}{mapped}"


class SessionState(StrEnum):
    """
    Where a session is. It only moves down this list, but for one that waited for a human or a limit when its
    worker was lost: it is queued again, as the same session.
    """

    QUEUED = "queued"
    """Accepted and on disk; waits for a place or for its workspace. Next: STARTING, ENDED."""
    STARTING = "starting"
    """Admitted; its worker makes the workspace ready. Next: RUNNING, ENDED."""
    RUNNING = "running"
    """Its process is at work. Next: ENDED."""
    ENDED = "ended"
    """There is a result; it stays until it is collected and its keep time is over."""


Exclusive = Literal["run", "agent", "no"]
"""Whom a scope belongs to: one run at a time, one agent at a time, or whoever finds a place."""

WorkspaceKind = Literal["fresh", "folder", "worktree", "from_agent"]


class WorkspaceRequest(msgspec.Struct, frozen=True, kw_only=True):
    """
    Which folder an agent wants to work in.

    :param kind: ``fresh``: a new folder below the workspace root; ``folder``: ``path``;
        ``worktree``: a git worktree of ``repo`` at ``ref``, on its own branch;
        ``from_agent``: a worktree at the commit of an upstream agent (``origin``), a copy without git.
    :param path: For ``folder``: absolute, or relative to the workspace root.
    :param repo: For ``worktree``: absolute path of a repository on this node, or a URL that git can clone.
    :param ref: For ``worktree``: branch, tag or commit; empty: what HEAD of ``repo`` is.
    :param origin: For ``from_agent``: the upstream agent's workspace folder.
    :param origin_commit: For ``from_agent``: that agent's commit, empty where it has none.
    :param shared: Several agents may be in it at a time (asked for in the file).
    :param rollback: Put it back to where it began when the agent fails.
    """

    kind: WorkspaceKind = "fresh"
    path: str = ""
    repo: str = ""
    ref: str = ""
    origin: str = ""
    origin_commit: str = ""
    shared: bool = False
    rollback: bool = False


class SessionRequest(msgspec.Struct, frozen=True, kw_only=True):
    """
    Everything a node needs to run one agent. Written to disk before it is acknowledged, but for
    the values of ``secrets``, which are kept in memory only.

    :param try_number: Airflow's number of the try that submits.
    :param max_tries: Airflow's ``max_tries`` then: a clear changes it, a lost try does not.
    :param agent_id: The agent's id in its file, also its task id.
    :param agent_type: Name of the runtime.
    :param command: For ``shell`` a bash script, for the others the prompt, in which ``${NAME}`` is one of ``secrets``.
    :param scope: Text of a :class:`~cis_provider.model.scope.TaskScope`.
    :param exclusive: How the agent wants its scope: for its run alone, for itself alone, or as it comes.
    :param turn: Scopes that its run wants for itself alone, all at once, from its first agent to its last.
    :param dag_limit: Agents of this DAG at work at once on this node; 0: no limit.
    :param account: Whose login it uses; agents of one account may be limited. Empty: nobody's.
    :param env: Variables for the agent; values may hold ``${NAME}``, which the worker fills in.
    :param secrets: Values for ``${NAME}`` in ``env``, by name; masked wherever the agent prints them.
    :param inputs: Whole output of each direct dependency, by agent id.
    :param timeout: Seconds the agent may be at work; 0: no limit.
    :param priority: 0 (first) to 3.
    :param position: Place of the agent in its file, from 1; 0 where there is no file.
    :param stop_grace: Seconds between SIGHUP and SIGKILL.
    :param options: How its program is to be driven.
    """

    key: SessionKey
    try_number: int
    max_tries: int
    agent_id: str
    agent_type: str
    command: str
    scope: str = "global"
    exclusive: Exclusive = "no"
    turn: tuple[str, ...] = ()
    dag_limit: int = 0
    account: str = ""
    env: dict[str, str] = {}
    secrets: dict[str, str] = {}
    inputs: dict[str, str] = {}
    workspace: WorkspaceRequest = WorkspaceRequest()
    timeout: float = 0.0
    priority: int = 2
    position: int = 0
    stop_grace: float = 2.0
    options: AgentOptions = AgentOptions()


def with_secrets(request: SessionRequest, secrets: dict[str, str]) -> SessionRequest:
    """The request with new values of its secrets. A name that it does not know is a variable of the agent's."""
    unknown = {name: f"${{{name}}}" for name in secrets if name not in request.secrets}
    return msgspec.structs.replace(request, secrets=request.secrets | secrets, env=request.env | unknown)


class SessionRecord(msgspec.Struct, kw_only=True):
    """
    What a node knows of a session, and tells.

    :param try_number: The try it works for now; a try that adopts it writes its own number here.
    :param waiting_for: What for, in words: while queued, or at work and something is taken. Empty otherwise.
    :param resting: While running: its process is stopped until a limit resets.
    :param blockage: While running: what it waits for that its node cannot give.
    :param settled: Its last blockages that are over, the newest last; all of them stand in the result.
    :param attached: Who has its terminal and may type; empty: nobody.
    :param resumed: How often it was started again after its worker was lost.
    :param last_line: The last line of output with anything in it, without escape codes.
    :param output_bytes: Size of ``output.log``, for readers that follow it.
    :param collected_by: The try that took the result; 0: nobody yet.
    :param created_at: And the other times: seconds since the epoch, wall clock; 0: not yet.
    """

    session_id: str
    key: SessionKey
    try_number: int
    max_tries: int
    agent_id: str
    agent_type: str
    scope: str
    worker: str
    exclusive: Exclusive = "no"
    dag_limit: int = 0
    account: str = ""
    priority: int = 2
    position: int = 0
    state: SessionState = SessionState.QUEUED
    waiting_for: str = ""
    resting: bool = False
    blockage: Blockage | None = None
    settled: tuple[Settled, ...] = ()
    attached: str = ""
    resumed: int = 0
    workspace: str = ""
    last_line: str = ""
    output_bytes: int = 0
    pid: int = 0
    created_at: float = 0.0
    started_at: float = 0.0
    ended_at: float = 0.0
    collected_by: int = 0
    result: AgentResult | None = None

    @property
    def has_ended(self) -> bool:
        """Whether there is a result, and nothing of it runs any more."""
        return self.state is SessionState.ENDED


class Decision(StrEnum):
    """What a submit does with the newest session of its key."""

    START = "start"
    """There is none, or it is done with: begin a new one."""
    JOIN = "join"
    """The same try asks again: it is that session."""
    ADOPT = "adopt"
    """A later try, and the one before was lost: take the session over, at work or ended."""
    REPLACE = "replace"
    """The task was cleared while the session was alive: end it, then begin a new one."""
    STALE = "stale"
    """A try that is over asks: refuse."""


def decide_submit(newest: SessionRecord | None, *, try_number: int, max_tries: int) -> Decision:
    """
    Judge a submit against the newest session of its key.

    A clear changes a task's ``max_tries``, a lost try does not: that tells "do it again" from "go on".
    """
    if newest is None or _is_done_with(newest):
        return Decision.START
    if try_number < newest.try_number:
        return Decision.STALE
    if try_number == newest.try_number:
        return Decision.JOIN
    if max_tries == newest.max_tries:
        return Decision.ADOPT
    return Decision.START if newest.has_ended else Decision.REPLACE


def _is_done_with(session: SessionRecord) -> bool:
    """Its result was taken, or somebody ended it: no try goes on from there, whatever its number."""
    killed = session.result is not None and session.result.subtype == "killed"
    return session.has_ended and bool(session.collected_by or killed)
