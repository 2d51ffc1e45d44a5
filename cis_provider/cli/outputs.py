"""``cis dag outputs``: what agents handed on."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

from cis_provider.cli.results import results, whole_output
from cis_provider.cli.screen import note, say, say_json

if TYPE_CHECKING:
    from cis_provider.cli.gather import Gatherer
    from cis_provider.cli.rows import RunView


def show_outputs(gather: Gatherer, view: RunView, wanted: Collection[str], *, as_json: bool) -> None:
    """Print the outputs of the wanted agents; one alone as it is, several under their names."""
    given = results(gather, view)
    shown = [row for row in view.agents if row.agent in wanted and (row.agent, row.map_index) in given]
    if as_json:
        say_json(
            [
                {"id": row.id, "agent": row.title, "status": row.status, **given[row.agent, row.map_index]}
                | {"output": whole_output(given[row.agent, row.map_index])}
                for row in shown
            ]
        )
        return
    for row in shown:
        text = whole_output(given[row.agent, row.map_index]).rstrip("\n")
        say(text if len(wanted) == 1 and len(shown) == 1 else f"# {row.title}\n\n{text}\n")
    for row in view.agents:
        if row.agent in wanted and row not in shown:
            note(f"{row.title} has no output: {row.status}{f', {row.output}' if row.output else ''}")
