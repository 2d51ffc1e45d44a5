"""What a rule asks of a screen. Each condition says what it saw, or that it does not hold."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Protocol

from cis_provider.screens.frame import Frame
from cis_provider.screens.regions import Lines, Regions

_BORDERS = re.compile(r"^[\s│┃║▌▎▏|]+|[\s│┃║▐]+$")


@dataclass(frozen=True)
class Scene:
    """
    All that conditions may look at.

    :param quiet: Seconds since the program's last byte.
    """

    frame: Frame
    regions: Regions
    quiet: float = 0.0


class Condition(Protocol):
    """Something that holds on a screen, or does not."""

    def check(self, scene: Scene) -> str | None:
        """The text that shows it, empty where no text does; ``None``: it does not hold."""


@dataclass(frozen=True)
class All:
    """Every one holds. Shows what the first one shows."""

    parts: tuple[Condition, ...]

    def check(self, scene: Scene) -> str | None:
        shown = ""
        for part in self.parts:
            found = part.check(scene)
            if found is None:
                return None
            shown = shown or found
        return shown


@dataclass(frozen=True)
class Any:
    """At least one holds."""

    parts: tuple[Condition, ...]

    def check(self, scene: Scene) -> str | None:
        return next((found for part in self.parts if (found := part.check(scene)) is not None), None)


@dataclass(frozen=True)
class Not:
    """It does not hold."""

    part: Condition

    def check(self, scene: Scene) -> str | None:
        return "" if self.part.check(scene) is None else None


@dataclass(frozen=True)
class Matches:
    """
    A region's text has it, line by line.

    :param look: Attributes that every character of it has.
    :param fg: Colour that every character of it has; ``None``: any.
    """

    region: str
    pattern: re.Pattern[str]
    look: int = 0
    fg: str | None = None
    bg: str | None = None

    def check(self, scene: Scene) -> str | None:
        lines = scene.regions.named(self.region)
        text = "\n".join(line.text for line in lines)
        for match in self.pattern.finditer(text):
            if self._looks(scene.frame, lines, match.start(), match.end()):
                return match[0].strip()
        return None

    def _looks(self, frame: Frame, lines: Lines, start: int, end: int) -> bool:
        if not self.look and self.fg is None and self.bg is None:
            return True
        position = 0
        for line in lines:
            left, right = max(start - position, 0), min(end - position, len(line.text))
            styles = frame.styles(line.row, line.start + left, line.start + right) if left < right else []
            for style in styles:
                if (
                    style.look & self.look != self.look
                    or self.fg not in (None, style.fg)
                    or self.bg not in (None, style.bg)
                ):
                    return False
            position += len(line.text) + 1
        return True


@dataclass(frozen=True)
class Flat:
    """
    A region's text has it when its lines are put together: a narrow screen breaks lines anywhere.

    Tried twice: lines joined by a blank, and full lines joined by nothing.
    """

    region: str
    pattern: re.Pattern[str]

    def check(self, scene: Scene) -> str | None:
        lines = scene.regions.named(self.region)
        for text in {self._joined(scene.frame, lines, tight) for tight in (False, True)}:
            if match := self.pattern.search(text):
                return match[0].strip()
        return None

    @staticmethod
    def _joined(frame: Frame, lines: Lines, tight: bool) -> str:
        parts: list[str] = []
        for line in lines:
            parts.append(_BORDERS.sub("", line.text))
            full = line.start + len(line.text) >= len(frame.lines[line.row]) >= frame.columns
            parts.append("" if tight and full else " ")
        return " ".join("".join(parts).split())


@dataclass(frozen=True)
class Title:
    """The window's title has it."""

    pattern: re.Pattern[str]

    def check(self, scene: Scene) -> str | None:
        match = self.pattern.search(scene.frame.title)
        return match[0] if match else None


@dataclass(frozen=True)
class Notified:
    """The latest notification has it."""

    pattern: re.Pattern[str]

    def check(self, scene: Scene) -> str | None:
        latest = scene.frame.notifications[-1:]
        match = self.pattern.search(latest[0]) if latest else None
        return match[0] if match else None


@dataclass(frozen=True)
class CursorVisible:
    """The cursor is shown, or hidden."""

    visible: bool

    def check(self, scene: Scene) -> str | None:
        return "" if scene.frame.cursor_visible == self.visible else None


@dataclass(frozen=True)
class CursorIn:
    """The cursor stands on one of a region's lines."""

    region: str

    def check(self, scene: Scene) -> str | None:
        rows = {line.row for line in scene.regions.named(self.region)}
        return "" if scene.frame.cursor_row in rows else None


@dataclass(frozen=True)
class Full:
    """A region's last line goes across the screen, but for a blank at its end: the cursor is below what it asks."""

    region: str

    def check(self, scene: Scene) -> str | None:
        lines = scene.regions.named(self.region)
        full = bool(lines) and lines[-1].start + len(lines[-1].text) >= scene.frame.columns - 1
        return "" if full else None


@dataclass(frozen=True)
class Alternate:
    """The program uses the alternate screen, or does not."""

    on: bool

    def check(self, scene: Scene) -> str | None:
        return "" if scene.frame.alternate == self.on else None


@dataclass(frozen=True)
class Bell:
    """It has rung at least once, or never."""

    rung: bool

    def check(self, scene: Scene) -> str | None:
        return "" if (scene.frame.bells > 0) == self.rung else None


@dataclass(frozen=True)
class QuietFor:
    """No byte came for so many seconds."""

    seconds: float

    def check(self, scene: Scene) -> str | None:
        return "" if scene.quiet >= self.seconds else None


@dataclass(frozen=True)
class HandedBack:
    """The program switched off what it needs for its input: full-screen ones do so as they end."""

    on: bool

    def check(self, scene: Scene) -> str | None:
        if scene.frame.handed_back != self.on:
            return None
        return "it gave the terminal back" if self.on else ""
