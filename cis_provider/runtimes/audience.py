"""Who looks at a program's terminal, and may type: as a runtime that has one sees them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from cis_provider.screens.screen import Screen
    from cis_provider.screens.watcher import ScreenWatcher


class LiveProgram(Protocol):
    """A program on a terminal that people may be attached to."""

    watcher: ScreenWatcher

    @property
    def screen(self) -> Screen:
        """What it shows."""

    def type(self, data: bytes) -> None:
        """Bytes of a human's keyboard."""

    def resize(self, columns: int, rows: int) -> None:
        """Its window has another size."""


class Audience:
    """Nobody. A worker's own tells those who are attached."""

    @property
    def attended(self) -> bool:
        """Whether a human has the terminal: nobody else types then, and no turn is over."""
        return False

    def begins(self, program: LiveProgram) -> None:
        """A program has a terminal now; the one before has ended."""

    def wrote(self, data: bytes) -> None:
        """It wrote, and its screen has taken that in."""

    def ends(self, program: LiveProgram) -> None:
        """It writes nothing more."""
