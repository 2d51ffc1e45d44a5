"""Show a run until it ends: drawn in a terminal, a line for each change elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from types import TracebackType
from typing import TYPE_CHECKING, Protocol

from cis_provider.cli.replies import how_to_answer
from cis_provider.cli.rows import RunView
from cis_provider.cli.screen import interactive, note
from cis_provider.cli.status import short_error
from cis_provider.cli.words import duration
from cis_provider.errors import AirflowUnreachable

if TYPE_CHECKING:
    from cis_provider.cli.gather import Gatherer
    from cis_provider.cli.records import DagRun

#: Seconds between two looks.
INTERVAL = 0.5
#: Seconds for which Airflow may be away (it may be restarting) before we give up looking.
PATIENCE = 90.0


class Display(Protocol):
    """Somebody who shows a run."""

    def update(self, view: RunView) -> None: ...
    def trouble(self, words: str) -> None: ...


class ChangeLines:
    """A line for each agent that changed."""

    def __init__(self, write: Callable[[str], None]) -> None:
        self._write = write
        self._seen: dict[tuple[str, int], str] = {}
        self._troubled = False

    def __enter__(self) -> ChangeLines:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None

    def update(self, view: RunView) -> None:
        """Write what is new."""
        self._troubled = False
        for row in view.agents:
            key = (row.agent, row.map_index)
            state = f"{row.status} {row.blockage.number}" if row.blockage else row.status
            if state == self._seen.get(key, "waiting"):
                continue
            self._seen[key] = state
            took = duration(row.seconds) if row.status in ("done", "failed") else ""
            said = short_error(row.error) or row.output
            words = [row.id, row.title, row.status, took, said if row.status != "running" else ""]
            self._write("  ".join(word for word in words if word))
            for command in how_to_answer([row]):
                self._write(f"  `{command}` answers it")

    def trouble(self, words: str) -> None:
        """Say it once."""
        if not self._troubled:
            self._write(words)
        self._troubled = True


class Silence(ChangeLines):
    """Shows nothing."""

    def __init__(self) -> None:
        super().__init__(lambda _line: None)


def display(quiet: bool = False) -> AbstractContextManager[Display]:
    """What suits stdout. ``quiet``: nothing."""
    if quiet:
        return Silence()
    if interactive():
        from cis_provider.cli.render import LiveRun

        return LiveRun()
    return ChangeLines(note)


def follow(gather: Gatherer, run: DagRun, name: str, show: Display) -> RunView:
    """
    Show a run until it has ended; returns how it ended.

    :raises AirflowUnreachable: Airflow was away for longer than :data:`PATIENCE`.
    """
    last_heard = time.monotonic()
    while True:
        try:
            view = gather.view(gather.api.run(run.dag_id, run.dag_run_id), name)
        except AirflowUnreachable as error:
            if time.monotonic() - last_heard > PATIENCE:
                raise AirflowUnreachable(
                    f"{error}; the run {name} goes on with the node, `cis dag ps {name}` shows it later"
                ) from error
            show.trouble("Airflow does not answer; waiting for it. Agents at work go on.")
            time.sleep(1.0)
            continue
        last_heard = time.monotonic()
        show.update(view)
        if view.finished:
            return view
        time.sleep(INTERVAL)
