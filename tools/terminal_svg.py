"""
Records a command on a terminal and draws it as an animated SVG: how the pictures in ``docs/images`` are made.

    python tools/terminal_svg.py --shown "make demo" --out docs/images/demo.svg -- make demo

The picture shows what a terminal would, with its pauses shortened. Standard library only. It understands
what ``cis`` and Rich write: colours, moving up, erasing; not whole-screen programs.
"""

from __future__ import annotations

import argparse
import os
import pty
import re
import select
import struct
import sys
import time
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from fcntl import ioctl
from html import escape
from pathlib import Path
from termios import TIOCSWINSZ

CELL, LINE, MARGIN, BAR = 8.4, 19, 16, 34
FONTS = 'ui-monospace,SFMono-Regular,Menlo,Consolas,"DejaVu Sans Mono","Noto Sans Mono CJK SC",monospace'
PALETTE = (
    "#3b4252", "#e06c75", "#98c379", "#e5c07b", "#61afef", "#c678dd", "#56b6c2", "#dcdfe4",
    "#7f848e", "#f08a93", "#b5e08f", "#f0d399", "#84c4ff", "#d99bec", "#7fd4df", "#ffffff",
)  # fmt: skip
BACKGROUND, FOREGROUND = "#22262e", "#dcdfe4"
_CONTROL = re.compile(
    r"\x1b\[([0-?]*)[ -/]*([@-~])|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b[()][0-~]|\x1b[=>78cM]"
)


@dataclass(frozen=True)
class Style:
    """How a cell looks; ``colour`` empty: the terminal's own."""

    colour: str = ""
    bold: bool = False
    dim: bool = False
    italic: bool = False


Row = tuple[tuple[str, Style], ...]


@dataclass
class Screen:
    """A terminal as far as it is needed here. Rows that scroll out at the top are gone."""

    width: int
    height: int
    x: int = 0
    y: int = 0
    style: Style = field(default_factory=Style)
    rows: list[list[tuple[str, Style]]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.rows = [[] for _ in range(self.height)]

    def feed(self, text: str) -> None:
        """Show more output; ``text`` holds whole escape sequences."""
        at = 0
        while at < len(text):
            if text[at] == "\x1b" and (match := _CONTROL.match(text, at)):
                if match[2]:
                    self._control(match[2], match[1])
                at = match.end()
                continue
            self._put(text[at])
            at += 1

    def _put(self, char: str) -> None:
        if char == "\n":
            self._down()
        elif char == "\r":
            self.x = 0
        elif char == "\b":
            self.x = max(0, self.x - 1)
        elif char == "\t":
            self.x = min(self.width - 1, self.x // 8 * 8 + 8)
        elif char >= " ":
            cells = cells_of(char)
            if self.x + cells > self.width:
                self.x = 0
                self._down()
            row = self.rows[self.y]
            row += [(" ", Style())] * (self.x + cells - len(row))
            row[self.x] = (char, self.style)
            if cells == 2:
                row[self.x + 1] = ("", self.style)
            self.x += cells

    def _down(self) -> None:
        self.y += 1
        if self.y == self.height:
            self.y -= 1
            self.rows = [*self.rows[1:], []]

    def _control(self, kind: str, text: str) -> None:
        numbers = [int(part or 0) for part in text.split(";")] if re.fullmatch(r"[\d;]*", text) else []
        count = max(1, numbers[0]) if numbers else 1
        row = self.rows[self.y]
        if kind == "A":
            self.y = max(0, self.y - count)
        elif kind == "B":
            self.y = min(self.height - 1, self.y + count)
        elif kind == "C":
            self.x = min(self.width - 1, self.x + count)
        elif kind == "D":
            self.x = max(0, self.x - count)
        elif kind == "G":
            self.x = min(self.width, count) - 1
        elif kind == "K":
            self.rows[self.y] = [] if numbers[:1] == [2] else row[: self.x]
        elif kind == "J":
            self.rows[self.y] = row[: self.x]
            self.rows[self.y + 1 :] = [[] for _ in self.rows[self.y + 1 :]]
        elif kind == "m" and numbers:
            self._select(numbers)

    def _select(self, numbers: list[int]) -> None:
        left = iter(numbers)
        for number in left:
            if number == 0:
                self.style = Style()
            elif number in (1, 2, 3):
                on = self.style
                self.style = replace(
                    on,
                    bold=on.bold or number == 1,
                    dim=on.dim or number == 2,
                    italic=on.italic or number == 3,
                )
            elif number == 22:
                self.style = replace(self.style, bold=False, dim=False)
            elif number == 23:
                self.style = replace(self.style, italic=False)
            elif 30 <= number <= 37:
                self.style = replace(self.style, colour=PALETTE[number - 30])
            elif 90 <= number <= 97:
                self.style = replace(self.style, colour=PALETTE[number - 82])
            elif number == 39:
                self.style = replace(self.style, colour="")
            elif number in (38, 48):
                colour = _extended(left)
                self.style = replace(self.style, colour=colour) if number == 38 else self.style

    def shown(self) -> tuple[Row, ...]:
        """What is on it, without blank cells at the ends of rows."""
        return tuple(_stripped(row) for row in self.rows)


def _stripped(row: list[tuple[str, Style]]) -> Row:
    end = len(row)
    while end and row[end - 1][0] == " ":
        end -= 1
    return tuple(row[:end])


def _extended(left: Iterator[int]) -> str:
    if next(left, 0) == 2:
        return "#" + "".join(f"{next(left, 0):02x}" for _ in range(3))
    index = next(left, 0)
    if index < 16:
        return PALETTE[index]
    if index >= 232:
        return "#" + f"{8 + 10 * (index - 232):02x}" * 3
    steps = (0, 95, 135, 175, 215, 255)
    index -= 16
    return "#" + "".join(f"{steps[part]:02x}" for part in (index // 36, index // 6 % 6, index % 6))


def cells_of(char: str) -> int:
    """Cells of a terminal that a character takes."""
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1


def record(command: list[str], width: int, height: int) -> Iterator[tuple[float, str]]:
    """Run a command on a terminal; its output in pieces, each with its time in seconds."""
    began = time.monotonic()
    pid, terminal = pty.fork()
    if pid == 0:
        os.environ.update(TERM="xterm-256color", COLORTERM="truecolor", COLUMNS=str(width), LINES=str(height))
        os.execvp(command[0], command)
    ioctl(terminal, TIOCSWINSZ, struct.pack("HHHH", height, width, 0, 0))
    rest = b""
    while True:
        select.select([terminal], [], [])
        try:
            chunk = os.read(terminal, 1 << 16)
        except OSError:
            chunk = b""
        if not chunk:
            break
        rest += chunk
        # A sequence, or a character, may be cut in two.
        cut = max(rest.rfind(b"\n"), rest.rfind(b"\r"), rest.rfind(b"m")) + 1
        yield time.monotonic() - began, rest[:cut].decode("utf-8", "replace")
        rest = rest[cut:]
    yield time.monotonic() - began, rest.decode("utf-8", "replace")
    os.waitpid(pid, 0)


def frames(
    pieces: Iterator[tuple[float, str]], screen: Screen, *, every: float, longest: float
) -> list[tuple[float, tuple[Row, ...]]]:
    """Pictures, and for how many seconds each is shown: not more often than ``every``, never over ``longest``."""
    shots: list[tuple[float, tuple[Row, ...]]] = []
    for moment, text in pieces:
        screen.feed(text)
        if shots and moment - shots[-1][0] < every:
            shots[-1] = (shots[-1][0], screen.shown())
        elif not shots or shots[-1][1] != screen.shown():
            shots.append((moment, screen.shown()))
    times = [moment for moment, _ in shots[1:]] + [shots[-1][0] + 60.0]
    return [
        (min(longest, until - moment), picture) for (moment, picture), until in zip(shots, times, strict=True)
    ]


def draw(film: list[tuple[float, tuple[Row, ...]]], *, width: int, title: str, last: float) -> str:
    """The film as SVG, which begins again when it has stood on its last picture for ``last`` seconds."""
    height = max(len(rows) for _, picture in film for rows in [_used(picture)])
    film = [*film[:-1], (last, film[-1][1])]
    body_height = height * LINE
    numbers: dict[Row, int] = {}
    groups = []
    for place, (_, picture) in enumerate(film):
        uses = "".join(
            f'<use href="#r{numbers.setdefault(row, len(numbers))}" y="{place * body_height + n * LINE}"/>'
            for n, row in enumerate(picture[:height])
            if row
        )
        groups.append(uses)
    symbols = "".join(f'<g id="r{number}">{_row(row)}</g>' for row, number in numbers.items())
    total = sum(seconds for seconds, _ in film)
    steps, at = [], 0.0
    for place, (seconds, _) in enumerate(film):
        steps.append(f"{at / total * 100:.3f}%{{transform:translateY(-{place * body_height}px)}}")
        at += seconds
    wide, high = width * CELL + 2 * MARGIN, body_height + BAR + MARGIN
    lights = "".join(
        f'<circle cx="{20 + 18 * n}" cy="17" r="5.5" fill="{colour}"/>'
        for n, colour in enumerate(("#ff5f57", "#febc2e", "#28c840"))
    )
    return f"""<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {wide:.0f} {high}" width="{wide:.0f}" role="img">
<title>{escape(title)}</title>
<style>
text{{font:14px {FONTS};fill:{FOREGROUND};white-space:pre}}
.b{{font-weight:700}}.d{{opacity:.6}}.i{{font-style:italic}}
.film{{animation:film {total:.1f}s step-end infinite}}
@keyframes film{{{"".join(steps)}}}
</style>
<rect width="100%" height="100%" rx="8" fill="{BACKGROUND}"/>{lights}
<text x="{wide / 2:.0f}" y="22" text-anchor="middle" class="d">{escape(title)}</text>
<defs>{symbols}</defs>
<svg x="{MARGIN}" y="{BAR}" width="{width * CELL:.0f}" height="{body_height}"><g class="film">
{chr(10).join(groups)}
</g></svg>
</svg>
"""


def _used(picture: tuple[Row, ...]) -> tuple[Row, ...]:
    end = len(picture)
    while end > 1 and not picture[end - 1]:
        end -= 1
    return picture[:end]


def _row(row: Row) -> str:
    parts, at = [], 0
    while at < len(row):
        style = row[at][1]
        end = at
        while end < len(row) and row[end][1] == style:
            end += 1
        text = "".join(char for char, _ in row[at:end])
        if text.strip():
            parts.append(_text(text, style, at, end - at))
        at = end
    return "".join(parts)


def _text(text: str, style: Style, at: int, cells: int) -> str:
    classes = "".join(name for name, on in (("b", style.bold), ("d", style.dim), ("i", style.italic)) if on)
    attributes = f' class="{" ".join(classes)}"' if classes else ""
    attributes += f' style="fill:{style.colour}"' if style.colour else ""
    length = f' textLength="{cells * CELL:.1f}" lengthAdjust="spacingAndGlyphs"'
    return f'<text x="{at * CELL:.1f}" y="14" xml:space="preserve"{length}{attributes}>{escape(text)}</text>'


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--shown", help="the command as the picture shows it; by default as it is")
    parser.add_argument("--width", type=int, default=100, help="cells")
    parser.add_argument("--height", type=int, default=30, help="rows")
    parser.add_argument("--every", type=float, default=0.5, help="seconds between two pictures, at least")
    parser.add_argument("--longest", type=float, default=1.5, help="seconds that a picture stands, at most")
    parser.add_argument("--last", type=float, default=8.0, help="seconds that the last picture stands")
    parser.add_argument("command", nargs="+")
    given = parser.parse_args()
    shown = given.shown or " ".join(given.command)
    screen = Screen(given.width, given.height)
    screen.feed(f"\x1b[32m$\x1b[0m {shown}\r\n")
    film = [(1.0, screen.shown())]
    film += frames(
        record(given.command, given.width, given.height), screen, every=given.every, longest=given.longest
    )
    given.out.write_text(draw(film, width=given.width, title=shown, last=given.last), encoding="utf-8")
    print(f"{given.out}: {len(film)} pictures, {given.out.stat().st_size // 1024} KiB", file=sys.stderr)


if __name__ == "__main__":
    main()
