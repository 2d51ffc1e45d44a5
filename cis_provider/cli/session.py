"""``cis session``: what an agent's terminal shows, and what that means."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cis_provider.cli.play import play
from cis_provider.cli.screen import say_json
from cis_provider.cli.via import ViaOption, maybe_via

if TYPE_CHECKING:
    from cis_provider.screens.watcher import Judgement, ScreenWatcher
    from cis_provider.wire.terminal import Seen

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


@app.command()
def explain(
    run: Annotated[
        str, typer.Argument(metavar="RUN", help="A run's name or id, or a DAG for its latest run; or an ID.")
    ],
    agent: Annotated[
        str | None,
        typer.Argument(
            metavar="AGENT", help="An agent's id, ID, or place in the file; the one at work, if there is one."
        ),
    ] = None,
    host: ViaOption = None,
) -> None:
    """
    Say as JSON what an agent at work is doing by its screen, and by which rule; the screen itself on stderr.

    An agent that is driven by a protocol has no screen: its state is null then, and `cis dag ps` has it.
    """
    maybe_via(host, tty=False)
    from cis_provider.cli.agents import at_work, find_rows
    from cis_provider.node.terminals import look

    row = at_work(*find_rows(run, agent))
    seen = look(row.session_id)
    for number, line in enumerate(seen.text.splitlines()):
        print(f"{number:3}|{line}", file=sys.stderr)
    print(_about(seen), file=sys.stderr)
    say_json(
        {
            "state": seen.state or None,
            "kind": seen.kind or None,
            "rule": seen.rule or None,
            "evidence": seen.evidence,
        }
    )


def _about(seen: Seen) -> str:
    if not seen.state:
        return "the end of its output: it has no screen, so no rule judges it; `cis dag ps` says how it is"
    whose = "a human's at its terminal" if seen.source == "human" else "its own"
    people = f", {seen.writer} types" if seen.writer else ""
    watching = f", {seen.watchers} watch" if seen.watchers else ""
    return (
        f"title {seen.title!r}, {seen.columns}x{seen.rows}, the screen is {whose}, rules of {seen.program}, "
        f"version {seen.version or 'unknown'}{people}{watching}"
    )


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
