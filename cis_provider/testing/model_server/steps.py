"""
What a script says: steps, each the answer to one model call. Pure data, and short words to make it.

The helpers (:func:`text`, :func:`tool`, ...) all take the same options: ``when`` (see :class:`When`),
``repeat`` (how many calls the step answers, or ``"forever"``) and ``usage`` (see :class:`Usage`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, TypedDict, Unpack

from msgspec import Struct

#: ``repeat`` of a step that is never used up.
FOREVER = -1

#: Where a step hangs: before a byte of the answer, or after the answer's first events.
HangAt = Literal["before", "middle"]

#: What arrives instead of an answer.
NonsenseKind = Literal["json", "sse", "html"]


class When(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """
    Conditions of a step; all that are given must hold. Empty: every main call.

    :param last_user_contains: Part of the last thing a user said (results of tools are not that).
    :param any_contains: Part of anything in the conversation, system prompt and tool results included.
    :param tool_result_contains: Part of the results that came with this call.
    :param model: The model's name; ``*`` and ``?`` as in file names.
    :param api: Which API was called.
    """

    last_user_contains: str | None = None
    any_contains: str | None = None
    tool_result_contains: str | None = None
    model: str | None = None
    api: Literal["anthropic", "chat", "responses"] | None = None


class Usage(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Tokens that an answer says were used. ``input`` counts all of the prompt, ``cached`` a part of it."""

    input: int = 100
    output: int = 20
    cached: int = 0


class Call(Struct, frozen=True):
    """One call of a tool, by the name under which the agent offers it."""

    name: str
    arguments: dict[str, Any] = {}


class Failure(Struct, frozen=True, kw_only=True):
    """
    An HTTP error in the vendor's own shape.

    :param status: HTTP status, 400 to 599.
    :param error: The vendor's type or code, such as ``usage_limit_reached``; None: the usual one.
    :param message: None: a sentence like the vendor's.
    :param retry_after: Seconds, for the header ``retry-after``.
    :param resets_in: Seconds until a limit ends, for the vendors' headers and fields about it.
    :param in_stream: Say it as an event of a stream that began with status 200.
    """

    status: int
    error: str | None = None
    message: str | None = None
    retry_after: float | None = None
    resets_in: float | None = None
    in_stream: bool = False


class Step(Struct, frozen=True, kw_only=True):
    """
    The answer to one model call.

    :param text: What the model says.
    :param calls: Tools that it calls after that, all in one answer.
    :param run: A shell command; called with whatever shell tool the agent offers.
    :param every: Seconds before each chunk of a stream; a plain answer takes as long in all.
    :param cut_after: Close the connection after so many chunks of the answer's content.
    """

    text: str = ""
    calls: tuple[Call, ...] = ()
    run: str | None = None
    failure: Failure | None = None
    hang: HangAt | None = None
    nonsense: NonsenseKind | None = None
    every: float = 0.0
    cut_after: int | None = None
    when: When = When()
    repeat: int = 1
    usage: Usage = Usage()


class Options(TypedDict, total=False):
    """What every helper takes."""

    when: When | Mapping[str, str]
    repeat: int | Literal["forever"]
    usage: Usage | Mapping[str, int]


def text(words: str, **options: Unpack[Options]) -> Step:
    """The model says something and ends its turn. ``text("")`` is an empty answer."""
    return Step(text=words, **_options(options))


def tool(name: str, arguments: Mapping[str, Any], *, say: str = "", **options: Unpack[Options]) -> Step:
    """The model calls one tool, after saying ``say``. The agent's next call brings the result."""
    return Step(text=say, calls=(Call(name, dict(arguments)),), **_options(options))


def tools(*calls: Call | tuple[str, Mapping[str, Any]], say: str = "", **options: Unpack[Options]) -> Step:
    """The model calls several tools in one answer."""
    made = tuple(one if isinstance(one, Call) else Call(one[0], dict(one[1])) for one in calls)
    return Step(text=say, calls=made, **_options(options))


def run(command: str, *, say: str = "", **options: Unpack[Options]) -> Step:
    """The model runs a shell command, with the shell tool of whichever agent asks."""
    return Step(text=say, run=command, **_options(options))


def status(
    code: int,
    *,
    error: str | None = None,
    message: str | None = None,
    retry_after: float | None = None,
    resets_in: float | None = None,
    in_stream: bool = False,
    **options: Unpack[Options],
) -> Step:
    """An error of the vendor: see :class:`Failure`."""
    failure = Failure(
        status=code,
        error=error,
        message=message,
        retry_after=retry_after,
        resets_in=resets_in,
        in_stream=in_stream,
    )
    return Step(failure=failure, **_options(options))


def hang(words: str = "", *, at: HangAt = "before", **options: Unpack[Options]) -> Step:
    """No answer until ``release()``, the client's end, or the server's. Then ``words``."""
    return Step(text=words, hang=at, **_options(options))


def slow(words: str, *, every: float = 0.5, **options: Unpack[Options]) -> Step:
    """A text that arrives in chunks, one every so many seconds."""
    return Step(text=words, every=every, **_options(options))


def cut(words: str = "This sentence has no", *, after: int = 1, **options: Unpack[Options]) -> Step:
    """A text whose connection is closed after so many chunks."""
    return Step(text=words, cut_after=after, **_options(options))


def nonsense(kind: NonsenseKind = "json", **options: Unpack[Options]) -> Step:
    """Status 200 and a body that is not an answer: broken JSON, broken events, or a proxy's HTML page."""
    return Step(nonsense=kind, **_options(options))


def huge(size: int = 1_000_000, **options: Unpack[Options]) -> Step:
    """A text of so many characters, in numbered lines."""
    return Step(text=filler(size), **_options(options))


def filler(size: int) -> str:
    """Exactly ``size`` characters of numbered lines, so that a missing part can be seen."""
    lines = (f"line {number} of a long answer" for number in range(1, size // 20 + 2))
    return "\n".join(lines)[:size]


def _options(options: Options) -> dict[str, Any]:
    """The common options as fields of a step."""
    given: dict[str, Any] = dict(options)
    if not isinstance(given.get("when", When()), When):
        given["when"] = When(**given["when"])
    if not isinstance(given.get("usage", Usage()), Usage):
        given["usage"] = Usage(**given["usage"])
    if given.get("repeat") == "forever":
        given["repeat"] = FOREVER
    return given
