"""What came of an agent."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from cis_provider.model.blockage import Settled

Subtype = Literal[
    "success",
    "exit_code",
    "timeout",
    "interrupted",
    "killed",
    "workspace",
    "unsupported",
    "not_started",
    "blocked",
    "provider",
    "agent_error",
    "refused",
    "empty",
    "check_failed",
    "invalid_output",
    "budget",
]
"""
How a session ended. ``interrupted``: its worker, or the agent's program, died. ``killed``: its task's try was
over. ``blocked``: it waited too long for a human. ``provider``: the model's provider failed, and may not the
next time. ``agent_error``: the program or the provider says that this cannot work. ``refused``: the model
does not want to. ``empty``: it ended without a word. ``check_failed``, ``invalid_output``: it says it is
done, and is not. ``budget``: a limit of turns, tokens or cost was reached.
"""

#: Ends that another try would meet again.
PERMANENT: frozenset[str] = frozenset({"unsupported", "agent_error", "refused", "budget", "blocked"})


class AgentResult(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=False):
    """
    The result of one session; field names follow the common-ai provider.

    :param output: What the agent handed on: its final text, or what it wrote into ``$CIS_OUTPUT``.
    :param session_id: The session's id on its node.
    :param duration: Seconds at work, without waiting for a turn.
    :param commit: Commit of the workspace at the end, where it is a git worktree.
    :param branch: Branch of that worktree.
    :param diff_stat: ``git diff --stat`` from the workspace's start to its end.
    :param workspace: Folder in which the agent worked.
    :param workspace_note: What was done to the workspace besides: put back, and where the work is kept.
    :param error: One sentence for a tired person, with the last lines where they help; empty on success.
    :param num_turns: Model calls, as far as the program counts them.
    :param usage: Tokens by kind.
    :param denied: What it wanted to do and was not allowed to.
    :param checked: The last run of its check: command, passed, attempt, exit code, output; empty: no check.
    :param structured: Its answer as data, where an ``output_schema`` was asked for.
    :param conversation_id: What its program resumes the conversation by.
    :param agent_type: Who ended the work: another than was asked for, where a fallback took over.
    :param answers: Every blockage there was, and what ended it.
    :param output_ref: Where the whole output is, when ``output`` is only its head; else empty.
    """

    session_id: str
    is_error: bool
    subtype: Subtype
    output: str = ""
    num_turns: int = 1
    usage: dict[str, Any] = msgspec.field(default_factory=dict)
    cost_usd: float | None = None
    exit_code: int | None = None
    duration: float = 0.0
    commit: str | None = None
    branch: str | None = None
    diff_stat: str | None = None
    workspace: str | None = None
    workspace_note: str = ""
    error: str = ""
    output_ref: str = ""
    denied: tuple[str, ...] = ()
    checked: dict[str, Any] = msgspec.field(default_factory=dict)
    structured: Any = None
    conversation_id: str = ""
    agent_type: str = ""
    answers: tuple[Settled, ...] = ()

    @property
    def permanent(self) -> bool:
        """Whether another try would end the same way."""
        return self.subtype in PERMANENT

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values, for XCom."""
        plain: dict[str, Any] = _with_lists(msgspec.to_builtins(self))
        return plain


def _with_lists(value: Any) -> Any:
    """A value without tuples: Airflow writes those in a way of its own, which only Airflow reads."""
    if isinstance(value, dict):
        return {key: _with_lists(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_with_lists(one) for one in value]
    return value
