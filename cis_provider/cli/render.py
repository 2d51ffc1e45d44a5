"""What ``cis`` draws in a terminal, with rich."""

from __future__ import annotations

import contextlib
import sys
import termios
import time
from collections.abc import Iterator, Sequence
from types import TracebackType

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.markdown import Markdown
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from cis_provider.cli.replies import how_to_answer, question_lines
from cis_provider.cli.rows import UNFINISHED_WORDS, Row, RunView
from cis_provider.cli.words import duration

STYLES = {
    "waiting": "dim",
    "blocked": "magenta",
    "queued": "cyan",
    "running": "bold blue",
    "done": "green",
    "failed": "bold red",
    "skipped": "dim yellow",
    "retrying": "yellow",
}
MARKS = {
    "waiting": "·",
    "blocked": "?",
    "queued": "◦",
    "done": "✔",
    "failed": "✘",
    "skipped": "–",
    "retrying": "↻",
}
#: Which rows stay when a terminal has too few lines for all.
_IMPORTANCE = ("blocked", "running", "failed", "retrying", "queued", "waiting", "done", "skipped")
#: Lines around the rows: the title, the heads, the line for those that do not fit, one to breathe.
_FRAME = 5


def console() -> Console:
    """Stdout, without guessing at numbers and paths in other people's text."""
    return Console(highlight=False, emoji=False, markup=False)


def print_table(heads: Sequence[str], lines: Sequence[Sequence[str]], *, last_is_long: bool) -> None:
    """Columns without borders."""
    console().print(grid_of(heads, lines, last_is_long=last_is_long))


def grid_of(heads: Sequence[str], lines: Sequence[Sequence[str]], *, last_is_long: bool) -> Table:
    """Columns without borders; one named STATUS or STATE is coloured by its first word."""
    grid = _grid(heads, last_is_long)
    for line in lines:
        grid.add_row(*(_cell(head, text) for head, text in zip(heads, line, strict=True)))
    return grid


def open_questions(table: Table, rows: Sequence[Row], console: Console) -> RenderableType:
    """
    A table of agents, and under it what they ask, as far as there is room.

    :param rows: As in the table, those that wait first.
    """
    parts: list[RenderableType] = [table]
    room = console.height - len(rows) - _FRAME
    for row in rows:
        if row.blockage is None:
            break
        lines = question_lines(row.blockage)
        room -= len(lines) + 3
        if room < 0:
            break
        words = Text.assemble((f"\n{row.run} {row.title}", STYLES["blocked"]), (f"  {lines[0]}", "bold"))
        for line in lines[1:]:
            words.append(f"\n{line}")
        words.append(f"\n  answer it: cis dag answer {row.run} {row.title}", style="dim")
        words.no_wrap, words.overflow = True, "ellipsis"
        parts.append(words)
    return Group(*parts)


def markdown(text: str) -> None:
    """An agent's output as it is meant to look."""
    console().print(Markdown(text))


def heading(text: str, style: str = "bold") -> None:
    """A line that stands out."""
    console().print(Text(text, style=style))


class LiveRun:
    """The agents of a run, drawn anew as they change; a context manager."""

    def __init__(self) -> None:
        self._console = console()
        self._live = Live(console=self._console, refresh_per_second=8, vertical_overflow="crop")
        self._spinners: dict[str, Spinner] = {}
        self._trouble = ""
        self._keys = silent_control_keys()

    def __enter__(self) -> LiveRun:
        self._keys.__enter__()
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.stop()
        self._keys.__exit__(kind, error, trace)

    def update(self, view: RunView) -> None:
        """Draw this."""
        self._trouble = ""
        self._live.update(self._draw(view))
        self._view = view

    def trouble(self, words: str) -> None:
        """Say what keeps us from knowing more."""
        self._trouble = words
        if hasattr(self, "_view"):
            self._live.update(self._draw(self._view))

    def _draw(self, view: RunView) -> RenderableType:
        room = max(3, self._console.height - _FRAME)
        shown, rest = fit(view.agents, room)
        grid = _grid(("", "ID", "AGENT", "STATUS", "TIME", "OUTPUT"), True)
        for row in shown:
            grid.add_row(
                self._mark(row),
                row.id,
                row.title,
                Text(row.status, style=STYLES[row.status]),
                duration(row.seconds),
                Text(row.output, style="dim" if row.status in ("waiting", "queued") else ""),
            )
        parts: list[RenderableType] = [self._title(view), grid]
        if rest:
            parts.append(Text(f"  … {rest}", style="dim"))
        parts += [
            Text(f"  answer it: {one}", style=STYLES["blocked"]) for one in how_to_answer(view.agents)[:1]
        ]
        if self._trouble:
            parts.append(Text(self._trouble, style="yellow"))
        return Group(*parts)

    def _title(self, view: RunView) -> Text:
        words = {"queued": "queued", "running": "running", "success": "done", "failed": "failed"}
        word = words.get(view.state, view.state)
        title = Text.assemble((view.run, "bold"), "  ", (word, STYLES.get(word, "")))
        if view.started_at is not None:
            end = view.ended_at.timestamp() if view.ended_at else time.time()
            title.append(f"  {duration(end - view.started_at.timestamp())}", style="dim")
        return title

    def _mark(self, row: Row) -> RenderableType:
        if row.status != "running":
            return Text(MARKS[row.status], style=STYLES[row.status])
        # One object for each agent: a new one would begin its turn anew at every update.
        return self._spinners.setdefault(f"{row.id}{row.map_index}", Spinner("dots", style=STYLES["running"]))


@contextlib.contextmanager
def silent_control_keys() -> Iterator[None]:
    """Keep the terminal from showing ``^C``, which would move what we draw by a line."""
    try:
        fd = sys.stdin.fileno()
        before = termios.tcgetattr(fd)
    except (OSError, ValueError, termios.error):  # no terminal to type at
        yield
        return
    quiet = list(before)
    quiet[3] &= ~termios.ECHOCTL
    termios.tcsetattr(fd, termios.TCSANOW, quiet)
    try:
        yield
    finally:
        termios.tcsetattr(fd, termios.TCSANOW, before)


def fit(rows: Sequence[Row], room: int) -> tuple[list[Row], str]:
    """The most telling rows that fit, in their order, and the others in words."""
    if len(rows) <= room:
        return list(rows), ""
    ranked = sorted(range(len(rows)), key=lambda i: (_IMPORTANCE.index(rows[i].status), i))
    kept = set(ranked[:room])
    counts: dict[str, int] = {}
    for i in ranked[room:]:
        counts[rows[i].status] = counts.get(rows[i].status, 0) + 1
    words = ", ".join(f"{number} {status}" for status, number in counts.items())
    return [rows[i] for i in sorted(kept)], f"and {words}"


def unfinished(rows: Sequence[Row]) -> bool:
    """Whether something still happens here."""
    return any(row.status in UNFINISHED_WORDS for row in rows)


def _grid(heads: Sequence[str], last_is_long: bool) -> Table:
    grid = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0), header_style="bold", expand=last_is_long)
    for place, head in enumerate(heads):
        cut = last_is_long and place == len(heads) - 1
        grid.add_column(head, no_wrap=True, overflow="ellipsis" if cut else "fold", ratio=1 if cut else None)
    return grid


def _cell(head: str, text: str) -> Text:
    if head not in ("STATUS", "STATE"):
        return Text(text)
    word = text.partition(" ")[0]
    return Text(text, style=STYLES.get("done" if word == "success" else word, ""))
