"""``cis dag answer``: what a person decides, for an agent that waits."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from cis_provider.cli.screen import JsonOption
from cis_provider.cli.via import ViaOption, maybe_via

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command()
def answer(
    run: Annotated[
        str, typer.Argument(metavar="RUN", help="A run's name or id, or a DAG for its latest run; or an ID.")
    ],
    agent: Annotated[
        str | None,
        typer.Argument(
            metavar="AGENT",
            help="An agent's id, ID, or place in the file; the one that waits, if there is one.",
        ),
    ] = None,
    reply: Annotated[
        str | None,
        typer.Argument(
            metavar="OPTION|TEXT",
            help="An option's label, the beginning of it, or its number; else words of your own. "
            "Without it you are shown the question and asked.",
        ),
    ] = None,
    text: Annotated[
        str, typer.Option("--text", metavar="TEXT", help="Words of your own; with an OPTION, why.")
    ] = "",
    number: Annotated[
        int, typer.Option("--number", metavar="N", min=0, help="Only if it is still its question N.")
    ] = 0,
    secret: Annotated[
        list[str] | None,
        typer.Option(
            "--secret", metavar="NAME", help="For a login: a new value of ${NAME}, which is asked for unseen."
        ),
    ] = None,
    host: ViaOption = None,
    as_json: JsonOption = False,
) -> None:
    """Answer an agent that waits for a human, without attaching to it."""
    maybe_via(host, tty=reply is None or bool(secret))
    from cis_provider.cli.answering import Wanted, answer_agent

    wanted = Wanted(run=run, agent=agent, reply=reply, text=text, number=number, secrets=tuple(secret or ()))
    answer_agent(wanted, as_json=as_json, ask=sys.stdin.isatty() and sys.stdout.isatty())
