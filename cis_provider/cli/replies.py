"""What a person's words mean for a question: one of its options, or words of one's own. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple

from cis_provider.errors import UsageError
from cis_provider.model.blockage import ENDS_BY_ITSELF, Blockage, BlockageKind, Option
from cis_provider.model.deciding import find_option
from cis_provider.model.text import plain_text

if TYPE_CHECKING:
    from cis_provider.cli.rows import Row


class Reply(NamedTuple):
    """What is delivered: an option, words, or both."""

    option: Option | None = None
    text: str = ""


def reply_to(blockage: Blockage, words: str, text: str = "") -> Reply:
    """
    What somebody means.

    :param words: An option's id, label, number in the list, or the beginning of one alone; else free text.
        ``#2`` is the second option, whatever the others are called. Empty with ``text``.
    :param text: Words of one's own; beside an option: why.
    :raises UsageError: It is none of them, or it may be two; names the options.
    """
    if not words.strip():
        if not text:
            raise UsageError(f"no answer was given; {choices(blockage)}")
        return _free(blockage, text)
    option = _option(blockage, words.strip())
    if option is not None:
        return Reply(option, text)
    if text:
        raise UsageError(f"{words!r} is no option, and --text has the words; {choices(blockage)}")
    return _free(blockage, words)


def choices(blockage: Blockage) -> str:
    """What there is to say to it, in words."""
    named = [f"{place} {_one_line(option.label)}" for place, option in enumerate(blockage.options, 1)]
    free = "words of your own" if blockage.free_text else ""
    return f"there is: {', '.join(word for word in (*named, free) if word) or 'nothing to choose'}"


def question_lines(blockage: Blockage) -> list[str]:
    """A question as it is shown: what it is about, all of it, and the options with their numbers."""
    lines = [plain_text(blockage.title.encode())]
    detail = plain_text(blockage.detail.encode()).strip("\n")
    if detail and detail != lines[0]:
        lines += ["", *(f"  {line}" for line in detail.splitlines()), ""]
    room = len(str(len(blockage.options)))
    for place, option in enumerate(blockage.options, 1):
        lines.append(f"  {place:{room}}  {_one_line(option.label)}")
    if blockage.free_text:
        # Whoever tells it something else has not agreed.
        no = ", which mean no" if blockage.kind is BlockageKind.PERMISSION else ""
        lines.append(f"  {'or' if blockage.options else 'Answer with'} words of your own{no}")
    return lines


def how_to_answer(rows: Iterable[Row]) -> list[str]:
    """The commands that answer agents which wait for somebody."""
    return [
        f"cis dag answer {row.run} {row.title}"
        for row in rows
        if row.blockage is not None and row.blockage.kind not in ENDS_BY_ITSELF
    ]


def _option(blockage: Blockage, words: str) -> Option | None:
    options = blockage.options
    if words.startswith("#") and words[1:].isdigit():
        if not 1 <= int(words[1:]) <= len(options):
            raise UsageError(f"there is no option {words}; {choices(blockage)}")
        return options[int(words[1:]) - 1]
    if not words.isdigit():
        return find_option(options, words)
    by_place = options[int(words) - 1] if 1 <= int(words) <= len(options) else None
    by_name = [option for option in options if words in (option.id, option.label.strip())]
    if by_place is not None and by_name and by_name != [by_place]:
        place = options.index(by_name[0]) + 1
        raise UsageError(
            f"{words} may be number {words}, {_one_line(by_place.label)!r}, or {_one_line(by_name[0].label)!r}: "
            f"write '#{words}' or '#{place}'"
        )
    return by_place or (by_name[0] if by_name else None)


def _free(blockage: Blockage, text: str) -> Reply:
    if not blockage.free_text:
        what = f"{text!r} is none of its options" if blockage.options else "it takes no words"
        raise UsageError(f"{what}; {choices(blockage)}")
    return Reply(None, text)


def _one_line(text: str) -> str:
    return " ".join(plain_text(text.encode()).split())
