"""A recording judged at its end."""

from __future__ import annotations

from pathlib import Path

from cis_provider.screens.recording import Recording, parse_size
from cis_provider.screens.rulebook import RuleBook
from cis_provider.screens.watcher import ScreenWatcher

#: Columns and rows where neither the recording nor the caller says: what we give to programs ourselves.
DEFAULT_SIZE = (120, 40)


def watched(
    program: str | RuleBook, path: Path, size: tuple[int, int] | None = None
) -> tuple[ScreenWatcher, float]:
    """
    A watcher that has seen all of a recording, and the moment of its end.

    :param size: Columns and rows at its start, instead of what the recording says.
    :raises UsageError: The recording cannot be read.
    :raises ConfigError: There are no rules for the program.
    """
    recording = Recording(path)
    header = recording.header
    name = program if isinstance(program, str) else program.program
    watcher = ScreenWatcher(program, header.version_of(name), size or header.size or DEFAULT_SIZE)
    end = 0.0
    for event in recording.events():
        end = max(end, event.at)
        if event.code == "o":
            watcher.feed(event.data, event.at)
        elif event.code == "r":
            watcher.resize(*parse_size(event.data.decode("utf-8", "replace")))
        elif event.code == "x":
            watcher.exited(_status(event.data))
    return watcher, max(end, header.duration)


def _status(data: bytes) -> int | None:
    text = data.decode("utf-8", "replace").strip()
    return int(text) if text.lstrip("-").isdigit() and len(text) < 12 else None
