"""A rule whose pattern goes astray on some screen would hold up the worker, and all that it looks after."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from cis_provider.screens import rule_files
from cis_provider.screens.watcher import ScreenWatcher

#: What patterns repeat, in lines as long as the screen is wide.
PIECES = (
    *("a", "a ", "a-b ", "-", "─", "│ ", "> ", "❯ ", "? ", ". ", "1", "1. ", "A", "A1_", "/a", ": ", "[a] "),
    *("█░", "* ", "· ", "'a' ", "(Y)es/(N)o ", "❯ 1. Yes ", "an error while processing your request "),
)
ENDS = ("", "\r\n", "> ", " [Yes]: ")
SECONDS = 5.0


@contextmanager
def in_time() -> Iterator[None]:
    def late(*_: Any) -> None:
        raise TimeoutError

    before = signal.signal(signal.SIGALRM, late)  # the engine of patterns looks for signals now and then
    signal.setitimer(signal.ITIMER_REAL, SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@pytest.mark.parametrize("program", rule_files.programs())
@pytest.mark.parametrize("piece", PIECES)
def test_no_screen_takes_long_to_judge(program: str, piece: str) -> None:
    book = rule_files.rule_book(program)
    for end in ENDS:
        watcher = ScreenWatcher(book, size=(120, 40))
        watcher.feed(("\r\n".join([(piece * 120)[:118]] * 40) + end).encode(), 1.0)
        with in_time():
            watcher.judge(1.0)
