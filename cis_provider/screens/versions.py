"""Versions of programs, and ranges of them: ``>=2.1,<3``."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable

_NUMBER = re.compile(r"\d+(?:\.\d+)*")
_PART = re.compile(r"\s*(>=|<=|==|!=|>|<)\s*v?(\d+(?:\.\d+)*)\s*")
_COMPARE: dict[str, Callable[[tuple[int, ...], tuple[int, ...]], bool]] = {
    ">=": operator.ge,
    "<=": operator.le,
    "==": operator.eq,
    "!=": operator.ne,
    ">": operator.gt,
    "<": operator.lt,
}


def parsed(text: str) -> tuple[int, ...]:
    """The numbers of the first version in ``text``; empty if there is none."""
    match = _NUMBER.search(text)
    return _short(match[0]) if match else ()


def check_range(text: str) -> str:
    """What is wrong with a range; empty: nothing."""
    wrong = [part for part in text.split(",") if not _PART.fullmatch(part)]
    return (
        f"{wrong[0].strip()!r} is no part of a version range; write for example '>=2.1,<3'" if wrong else ""
    )


def within(version: str, wanted: str) -> bool:
    """Whether a version is in a range. One that is not known is in every range, and no range holds all."""
    numbers = parsed(version)
    if not numbers or not wanted:
        return True
    return all(
        _COMPARE[match[1]](numbers, _short(match[2]))
        for part in wanted.split(",")
        if (match := _PART.fullmatch(part))
    )


def _short(text: str) -> tuple[int, ...]:
    """2.1.0 is 2.1."""
    numbers = [int(number) for number in text.split(".")]
    while len(numbers) > 1 and numbers[-1] == 0:
        numbers.pop()
    return tuple(numbers)
