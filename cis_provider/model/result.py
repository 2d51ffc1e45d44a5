"""What came of an agent."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

#: How a session ended. ``interrupted``: its worker died. ``killed``: its task's try was over.
Subtype = Literal[
    "success", "exit_code", "timeout", "interrupted", "killed", "workspace", "unsupported", "not_started"
]

#: Ends that another try would meet again.
PERMANENT: frozenset[str] = frozenset({"unsupported"})


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

    @property
    def permanent(self) -> bool:
        """Whether another try would end the same way."""
        return self.subtype in PERMANENT

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values, for XCom."""
        plain: dict[str, Any] = msgspec.to_builtins(self)
        return plain
