"""
Measure, and say what was measured: ``run.py [NAME...] [--quick] [--write]``.

All figures at full size take about twenty-five minutes and are written to ``docs/benchmarks.md``. Some of them, or
small ones (``--quick``), are only shown; ``--write`` puts them in place of what stood there of them. Exit code 1:
a target was missed.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from types import ModuleType

from figures import (
    agents,
    attach,
    blocked,
    chain,
    command_line,
    files,
    finished,
    node,
    scopes,
    sleepers,
    start,
    throughput,
    worker,
)
from kit.airflow import Airflow, running_airflow
from kit.home import temporary_home
from kit.report import page, table
from kit.rows import Row, Scale

_ALONE: dict[str, ModuleType] = {
    "worker": worker,
    "node": node,
    "files": files,
    "start": start,
    "agents": agents,
    "attach": attach,
}
#: These share one Airflow, in this order: what leaves sessions and rows behind comes last.
_IN_AIRFLOW: dict[str, ModuleType] = {
    "chain": chain,
    "throughput": throughput,
    "scopes": scopes,
    "finished": finished,
    "sleepers": sleepers,
    "blocked": blocked,
    "command-line": command_line,
}
_PAGE = Path(__file__).parents[2] / "docs" / "benchmarks.md"


def main(argv: list[str]) -> int:
    """Run, print, write."""
    names = [*_ALONE, *_IN_AIRFLOW]
    parser = argparse.ArgumentParser(description="Measure against plain Airflow and dag-factory.")
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help=f"figures: {', '.join(names)} (default: all)"
    )
    parser.add_argument("--quick", action="store_true", help="small counts, to see that all of it works")
    parser.add_argument(
        "--write", action="store_true", help="write what was measured into docs/benchmarks.md"
    )
    given = parser.parse_args(argv)
    if unknown := set(given.names) - set(names):
        parser.error(f"no such figure: {', '.join(sorted(unknown))}")
    # A bare Airflow's triggerer does not end when it is told to, and is killed: nobody needs to read that.
    logging.getLogger("cis.embedded").setLevel(logging.ERROR)
    wanted = [name for name in names if not given.names or name in given.names]
    scale, load_before = Scale(quick=given.quick), os.getloadavg()[0]
    measured = dict(_measured(wanted, scale))
    rows = [row for found in measured.values() for row in found]
    print(f"\n{table(rows)}")
    if given.write or (len(wanted) == len(names) and not given.quick):
        figures = {name: (_about(name), found) for name, found in measured.items()}
        old = _PAGE.read_text() if _PAGE.exists() else ""
        _PAGE.write_text(page(figures, load_before=load_before, names=names, old=old))
        print(f"\nwritten to {_PAGE}")
    missed = [row.name for row in rows if row.met is False]
    if missed:
        print(f"\nmissed: {'; '.join(missed)}", file=sys.stderr)
    return 1 if missed else 0


def _measured(wanted: list[str], scale: Scale) -> Iterator[tuple[str, list[Row]]]:
    for name, module in _ALONE.items():
        if name in wanted:
            yield name, _timed(name, partial(module.measure, scale))
    in_airflow = [name for name in _IN_AIRFLOW if name in wanted]
    if in_airflow:
        with _airflow(scale) as airflow:
            for name in in_airflow:
                yield name, _timed(name, partial(_IN_AIRFLOW[name].measure, airflow, scale))


@contextmanager
def _airflow(scale: Scale) -> Iterator[Airflow]:
    """One Airflow with the DAGs of every figure, on a node with room for all sleepers."""
    with temporary_home(CIS_DAG_LOCAL_MAX_WORKERS="200"):
        chain.install()
        throughput.install()
        scopes.install()
        finished.install()
        sleepers.install(scale)
        blocked.install(scale)
        command_line.install()
        with running_airflow() as airflow:
            yield airflow


def _timed(name: str, measure: Callable[[], list[Row]]) -> list[Row]:
    print(f"{name} ...", end="", flush=True, file=sys.stderr)
    began = time.monotonic()
    rows = measure()
    print(f" {time.monotonic() - began:.0f} s", file=sys.stderr)
    for row in rows:
        print(
            "   ", *filter(None, row.cells()), f"({row.note})" if row.note else "", sep="  ", file=sys.stderr
        )
    return rows


def _about(name: str) -> str:
    return (_ALONE | _IN_AIRFLOW)[name].__doc__ or ""


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
