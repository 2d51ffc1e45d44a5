"""Logs of Airflow's processes in one stream."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path

from cis_provider.cli.logs import Tail
from cis_provider.cli.screen import say_json
from cis_provider.model.text import plain_text

_LOOK = 0.3
#: Bytes that hold the last lines that were asked for, unless they are very long.
_BYTES_PER_LINE = 400


def show(files: Mapping[str, Path], *, lines: int, follow: bool, as_json: bool) -> None:
    """
    Print the last lines of each file, then, with ``follow``, what is added, until Ctrl+C.

    :param files: Logs by the name of their process.
    """
    room = max((len(name) for name in files), default=0)

    def write(name: str, line: str) -> None:
        if as_json:
            say_json({"part": name, "line": line})
        else:
            print(line if len(files) == 1 else f"{name:{room}}  | {line}", flush=True)

    tails = {}
    for name, file in files.items():
        end = _last(file, lines, lambda line, name=name: write(name, line))
        tails[name] = Tail(file, start=end)
    while follow:
        time.sleep(_LOOK)
        for name, tail in tails.items():
            for line in tail.read():
                write(name, line)


def _last(file: Path, lines: int, write: object) -> int:
    """Print the last lines; returns where the file ended then."""
    assert callable(write)
    try:
        with file.open("rb") as source:
            size = source.seek(0, 2)
            start = max(0, size - max(lines, 1) * _BYTES_PER_LINE)
            source.seek(start)
            if start:
                source.readline()  # only the end of it is here
            text = plain_text(source.read())
    except FileNotFoundError:
        return 0
    for line in text.splitlines()[-lines:] if lines > 0 else ():
        write(line)
    return size
