"""What agents print, as ``docker compose logs`` shows it."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from cis_provider.cli.results import airflow_log, log_file
from cis_provider.cli.rows import UNFINISHED_WORDS, Row, RunView
from cis_provider.model.text import LineAssembler

if TYPE_CHECKING:
    from cis_provider.cli.gather import Gatherer
    from cis_provider.cli.records import DagRun

#: Writes one line of one agent.
Write = Callable[[Row, str], None]

_CHUNK = 1 << 20
#: Seconds between two looks at files; Airflow is asked every :data:`_ASK`.
_LOOK = 0.2
_ASK = 1.0


class RawLines:
    """Chunks in, whole lines out, as they were printed."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, chunk: bytes) -> list[str]:
        """The lines that ``chunk`` completes."""
        *whole, self._rest = (self._rest + chunk).split(b"\n")
        return [line.decode("utf-8", "replace") for line in whole]

    def finish(self) -> str:
        """The unfinished line."""
        rest, self._rest = self._rest.decode("utf-8", "replace"), b""
        return rest


class Tail:
    """The new lines of a log file, each whole and without escape codes; with ``raw``, as they were printed."""

    def __init__(self, path: Path, *, start: int = 0, raw: bool = False) -> None:
        self._path = path
        self._offset = start
        self._lines = RawLines() if raw else LineAssembler()

    def read(self) -> Iterator[str]:
        """What has been added since."""
        try:
            file = self._path.open("rb")
        except FileNotFoundError:
            return
        with file:
            file.seek(self._offset)
            while chunk := file.read(_CHUNK):
                self._offset += len(chunk)
                yield from self._lines.feed(chunk)

    def finish(self) -> Iterator[str]:
        """And a last line that was never ended."""
        yield from self.read()
        rest = self._lines.finish()
        if rest:
            yield rest


def dump(
    gather: Gatherer, view: RunView, wanted: Collection[str], write: Write, *, raw: bool = False
) -> None:
    """All that the wanted agents have printed so far, one agent after the other."""
    for row in view.agents:
        if row.agent not in wanted:
            continue
        if row.session_id and log_file(row.session_id).exists():
            lines: Iterator[str] = Tail(log_file(row.session_id), raw=raw).finish()
        else:
            lines = iter(airflow_log(gather, row) if _has_begun(row) else ())
        for line in lines:
            write(row, line)


def _has_begun(row: Row) -> bool:
    """Whether Airflow has a log of it; one that waits for its turn has said so there."""
    return row.status not in ("waiting", "skipped") or row.state == "up_for_reschedule"


def follow(
    gather: Gatherer, run: DagRun, name: str, wanted: Collection[str], write: Write, *, raw: bool = False
) -> RunView:
    """
    What the wanted agents have printed and print, until the run or all of them have ended.

    A retry is a new session: its lines follow those of the one before.
    """
    tails: dict[str, Tail] = {}
    view = gather.view(run, name)
    asked = time.monotonic()
    while True:
        rows = [row for row in view.agents if row.agent in wanted]
        over = view.finished or not any(row.status in UNFINISHED_WORDS for row in rows)
        for row in rows:
            if not row.session_id:
                continue
            tail = tails.setdefault(row.session_id, Tail(log_file(row.session_id), raw=raw))
            ended = over or row.status not in UNFINISHED_WORDS
            for line in tail.finish() if ended else tail.read():
                write(row, line)
        if over:
            _from_airflow(gather, rows, write)
            return view
        time.sleep(_LOOK)
        if time.monotonic() - asked >= _ASK:
            view = gather.view(gather.api.run(run.dag_id, run.dag_run_id), name)
            asked = time.monotonic()


def _from_airflow(gather: Gatherer, rows: list[Row], write: Write) -> None:
    """Agents that have no session on this node: they failed before, or worked elsewhere."""
    for row in rows:
        if row.status in ("done", "failed") and not (row.session_id and log_file(row.session_id).exists()):
            for line in airflow_log(gather, row):
                write(row, line)
