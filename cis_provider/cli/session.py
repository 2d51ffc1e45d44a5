"""``cis session``: what an agent's terminal shows, and what that means."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cis_provider.cli.play import play
from cis_provider.cli.screen import say_json

if TYPE_CHECKING:
    from cis_provider.screens.watcher import Judgement, ScreenWatcher

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    help="What an agent's terminal shows, and what that means.",
)


@app.callback()
def group() -> None:
    """What an agent's terminal shows, and what that means."""


app.command()(play)


@app.command()
def classify(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="asciicast v2 or v3, or a terminal's bytes.")],
    runtime: Annotated[
        str, typer.Option("--runtime", metavar="NAME", help="Whose rules: claude, codex, ...")
    ],
    size: Annotated[
        str, typer.Option("--size", metavar="COLSxROWS", help="Instead of the recording's own; else 120x40.")
    ] = "",
    why: Annotated[bool, typer.Option("--explain", help="Say on stderr what each rule saw.")] = False,
) -> None:
    """Say as JSON what a program was doing at the end of a recording: its state, and by which rule."""
    from cis_provider.screens.classify import watched
    from cis_provider.screens.recording import parse_size

    watcher, end = watched(runtime, file, parse_size(size) if size else None)
    if why:
        _explain(watcher, end)
    say_json(_plain(watcher.judge(end)))


def _plain(judgement: Judgement) -> dict[str, str | None]:
    return {
        "state": judgement.state,
        "kind": judgement.kind.value if judgement.kind else None,
        "rule": judgement.rule or None,
        "evidence": judgement.evidence,
    }


def _explain(watcher: ScreenWatcher, now: float) -> None:
    frame = watcher.screen.frame(now)
    for number, line in enumerate(frame.lines):
        print(f"{number:3}{'>' if number == frame.cursor_row else '|'}{line}", file=sys.stderr)
    cursor = f"row {frame.cursor_row}, column {frame.cursor_column}"
    print(
        f"title {frame.title!r}, cursor at {cursor} ({'visible' if frame.cursor_visible else 'hidden'}), "
        f"{'alternate' if frame.alternate else 'main'} screen, {frame.bells} bells, "
        f"version {watcher.version or 'unknown'}",
        file=sys.stderr,
    )
    for trace in watcher.explain(now):
        saw = "-" if trace.found is None else f"yes: {trace.found!r}"
        print(f"{trace.rule.state:9}{trace.rule.id:32}{saw}", file=sys.stderr)
