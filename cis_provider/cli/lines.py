"""Rows of agents as ``ps`` prints them."""

from __future__ import annotations

import time

from cis_provider.cli.rows import Row
from cis_provider.cli.screen import interactive
from cis_provider.cli.words import duration

PS_HEADS = ("ID", "AGENT", "STATUS", "OUTPUT")


def ps_lines(rows: list[Row]) -> list[tuple[str, str, str, str]]:
    """Rows as ``ps`` prints them."""
    return [(row.id, row.title, _status_word(row), row.output) for row in rows]


def _status_word(row: Row) -> str:
    seconds = row.seconds
    if row.blockage is not None and row.blockage.since:
        seconds = time.time() - row.blockage.since
    took = duration(seconds) if row.status in ("running", "blocked", "done", "failed") else ""
    return f"{row.status} {took}".rstrip() if interactive() else row.status
