"""What the store gives back about an agent, and how too long a text is cut. Pure."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class StoredOutput:
    """
    What one agent of one run handed on; of a mapped agent, all its parts in the order of their index.

    :param output: The text, as the store holds it.
    :param workspace: And ``commit`` and ``branch``: ``None`` where there is none, or the parts differ.
    :param ended_at: Seconds since the epoch; of the last part.
    """

    agent_id: str
    agent_type: str
    output: str
    is_error: bool
    subtype: str
    workspace: str | None = None
    commit: str | None = None
    branch: str | None = None
    ended_at: float = 0.0


def cut_middle(text: str, limit: int) -> tuple[str, str]:
    """
    The beginning and the end of ``text``, together at most ``limit`` characters; all of it, and ``""``, if it fits.

    Both are cut at line ends where one is near.
    """
    if len(text) <= limit:
        return text, ""
    limit = max(limit, 0)
    first = limit - limit // 2
    begin, end = text[:first], text[len(text) - limit // 2 :]
    slack = limit // 8
    at = begin.rfind("\n") + 1
    if 0 < len(begin) - at <= slack and at:
        begin = begin[:at]
    at = end.find("\n") + 1
    if 0 < at <= slack:
        end = end[at:]
    return begin, end
