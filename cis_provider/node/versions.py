"""Which of two versions of this package is the older one. Pure."""

from __future__ import annotations

import re


def is_older(theirs: str, ours: str) -> bool:
    """
    Whether a peer should give way to us.

    Only the numbers of a release count. Never true in both directions, so that two versions do not replace each
    other for ever.
    """
    return _release(theirs) < _release(ours)


def _release(version: str) -> tuple[int, ...]:
    """``0.10.2.dev3`` as ``(0, 10, 2)``; trailing zeros say nothing. Empty: no version."""
    found = re.match(r"\d+(?:\.\d+)*", version)
    numbers = [int(part) for part in found.group().split(".")] if found else []
    while numbers and numbers[-1] == 0:
        numbers.pop()
    return tuple(numbers)
