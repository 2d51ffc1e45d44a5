"""Why an agent waits for somebody or something else."""

from __future__ import annotations

from enum import StrEnum

import msgspec


class BlockageKind(StrEnum):
    """What kind of thing an agent waits for."""

    PERMISSION = "permission"
    """It asks to use a tool, run a command or change a file."""
    QUESTION = "question"
    """It asks something that only a human can decide."""
    LOGIN = "login"
    """Its credentials are missing, wrong or expired."""
    TRUST = "trust"
    """Its program asks whether this folder, key or setting is to be trusted."""
    RATE_LIMIT = "rate_limit"
    """The provider limits how often it may ask; ends by itself."""
    QUOTA = "quota"
    """What the account may use is used up; ends at the reset, or when somebody pays."""
    STALLED = "stalled"
    """A turn that is not finished, and no sign of life for minutes."""


#: Blockages that end by themselves: the process is stopped, the conversation kept.
ENDS_BY_ITSELF = frozenset({BlockageKind.RATE_LIMIT, BlockageKind.QUOTA})


class Option(msgspec.Struct, frozen=True):
    """
    One answer that the agent offers.

    :param id: What the agent knows it by.
    :param label: What a human reads.
    :param kind: ACP's ``PermissionOptionKind`` where it has one: ``allow_once``, ``allow_always``,
        ``reject_once``, ``reject_always``; else empty.
    """

    id: str
    label: str
    kind: str = ""


class Blockage(msgspec.Struct, frozen=True, kw_only=True):
    """
    What an agent waits for.

    :param number: 1 for a session's first, then 2, ...: an answer names it.
    :param title: One line: what it wants.
    :param detail: All of it: the command, the diff, the screen as text.
    :param tool: Name of the tool it asks for, where it is one.
    :param names: Other names by which patterns call that tool, in small letters.
    :param subjects: What patterns are held against: the command, or the files; empty: it cannot be told.
    :param options: The agent's own; empty where only free text is an answer.
    :param free_text: Whether it takes words of one's own.
    :param since: Seconds since the epoch.
    :param until: When it ends by itself, seconds since the epoch; 0: unknown.
    """

    number: int
    kind: BlockageKind
    title: str
    detail: str = ""
    tool: str = ""
    names: tuple[str, ...] = ()
    subjects: tuple[str, ...] = ()
    options: tuple[Option, ...] = ()
    free_text: bool = False
    since: float = 0.0
    until: float = 0.0


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """
    What was decided.

    :param number: The blockage it answers.
    :param option: Id of one of its options; empty with ``text`` alone.
    :param text: Words for the agent: the free answer, or why it was denied.
    :param by: Who decided: ``ui:admin``, ``cli:root``, ``rule:permission: deny``.
    :param id: The same when it is sent again: what was delivered once is not delivered twice.
    :param secrets: For a login: new values of the session's secrets, by name. Never written to disk.
    """

    number: int
    option: str = ""
    text: str = ""
    by: str = ""
    id: str = ""
    secrets: dict[str, str] = {}


class Settled(msgspec.Struct, frozen=True, kw_only=True):
    """
    A blockage that is over, and what ended it.

    :param option: Label of the option that was chosen; empty: words alone, or nobody answered.
    :param by: As in :class:`Answer`; ``terminal:NAME``: at the agent's own terminal; empty: it ended by itself.
    :param asked_at: And ``settled_at``: seconds since the epoch.
    """

    number: int
    kind: BlockageKind
    title: str
    option: str = ""
    text: str = ""
    by: str = ""
    asked_at: float = 0.0
    settled_at: float = 0.0
