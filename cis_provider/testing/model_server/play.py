"""Which step answers which call: the script as it is played. No I/O; the caller holds the lock."""

from __future__ import annotations

from collections.abc import Iterable

from .asked import Asked, matches
from .steps import Step


class Play:
    """
    The steps and how often each was used.

    A call gets the first step that is not used up and whose conditions hold; after the last, ``default``.
    """

    def __init__(self, steps: Iterable[Step], default: Step) -> None:
        self._steps = list(steps)
        self._used = [0] * len(self._steps)
        self._default = default

    def push(self, *steps: Step) -> None:
        """Add steps behind those that are there."""
        self._steps += steps
        self._used += [0] * len(steps)

    def next(self, asked: Asked) -> tuple[int | None, Step]:
        """The step for a call and its number from 0; None: the default answer."""
        for number, step in enumerate(self._steps):
            if self._left(number) and matches(step.when, asked):
                self._used[number] += 1
                return number, step
        return None, self._default

    def unused(self) -> list[int]:
        """Numbers of the steps that answered fewer calls than they might (``forever``: none at all)."""
        return [
            number
            for number, step in enumerate(self._steps)
            if (self._used[number] < step.repeat if step.repeat >= 0 else not self._used[number])
        ]

    def _left(self, number: int) -> bool:
        repeat = self._steps[number].repeat
        return repeat < 0 or self._used[number] < repeat
