"""``cis dag ps --watch``."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from cis_provider.cli.screen import interactive, say_json

if TYPE_CHECKING:
    from cis_provider.cli.gather import Gatherer
    from cis_provider.cli.rows import Row

_INTERVAL = 1.0


def watch_agents(gather: Gatherer, run: str | None, *, as_json: bool) -> None:
    """
    Show agents as they change, until the run ends; without one, until Ctrl+C.

    In a terminal the table is drawn anew. Elsewhere each change is a line, with ``as_json`` a record.
    """
    from cis_provider.cli.progress import ChangeLines
    from cis_provider.cli.rows import blocked_first

    lines = ChangeLines(print)
    seen: dict[str, tuple[str, str]] = {}
    found = gather.find(run) if run is not None else None
    screen = _Screen() if interactive() and not as_json else None
    try:
        while True:
            if found is not None:
                views = [gather.view(gather.api.run(found[0].dag_id, found[0].dag_run_id), found[1])]
            else:
                views = gather.unfinished()
            rows = blocked_first(row for view in views for row in view.agents)
            if screen is not None:
                screen.draw(rows)
            elif as_json:
                _changed_records(rows, seen)
            else:
                for view in views:
                    lines.update(view)
            if found is not None and views[0].finished:
                return
            time.sleep(_INTERVAL)
    finally:
        if screen is not None:
            screen.close()


def _changed_records(rows: list[Row], seen: dict[str, tuple[str, str]]) -> None:
    from cis_provider.cli.rows import plain

    for row in rows:
        key = f"{row.dag_id}/{row.run_id}/{row.title}"
        if seen.get(key) != (row.status, row.output):
            seen[key] = (row.status, row.output)
            say_json(plain(row))


class _Screen:
    """A table that is drawn anew."""

    def __init__(self) -> None:
        from rich.live import Live

        from cis_provider.cli.render import console, silent_control_keys

        self._keys = silent_control_keys()
        self._keys.__enter__()
        self._live = Live(console=console(), auto_refresh=False, vertical_overflow="ellipsis")
        self._live.start()

    def draw(self, rows: list[Row]) -> None:
        """These rows."""
        from cis_provider.cli.lines import PS_HEADS, ps_lines
        from cis_provider.cli.render import grid_of, open_questions

        table = grid_of(PS_HEADS, ps_lines(rows), last_is_long=True)
        self._live.update(open_questions(table, rows, self._live.console), refresh=True)

    def close(self) -> None:
        """Leave the last state on the screen."""
        self._live.stop()
        self._keys.__exit__(None, None, None)
