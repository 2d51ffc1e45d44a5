"""What ``cis dag up`` says at the end of a run: what came of it, what failed and why, and where to look."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cis_provider.cli.results import last_lines, results, whole_output
from cis_provider.cli.rows import Row, RunView, leaves
from cis_provider.cli.screen import interactive, note, say
from cis_provider.cli.status import short_error

if TYPE_CHECKING:
    from cis_provider.cli.gather import Gatherer

#: Lines of its log that are shown of an agent that failed.
_LAST_LINES = 15


def summarize(gather: Gatherer, view: RunView) -> None:
    """Print it: outputs on stdout, everything else on stderr."""
    found = results(gather, view)
    final = leaves(gather.plan(view.dag_id))
    reports = [
        (row, whole_output(found[row.agent, row.map_index]))
        for row in view.agents
        if row.agent in final and row.status == "done" and (row.agent, row.map_index) in found
    ]
    for row, text in reports:
        if text.strip():
            _report(row, text, alone=len(reports) == 1)
    for row in view.agents:
        if row.status == "failed":
            _failure(gather, row)
    for words in branches(view, found):
        note(words)
    note(f"run {view.run} {'done' if view.state == 'success' else 'failed'}: {view.url}")


def branches(view: RunView, found: dict[tuple[str, int], dict[str, Any]]) -> list[str]:
    """Where the work is: each branch once, as its last agent left it."""
    last: dict[str, str] = {}
    for row in view.agents:
        result = found.get((row.agent, row.map_index), {})
        branch = result.get("branch")
        if branch:
            commit = str(result.get("commit") or "")[:12]
            words = [f"branch {branch}", f"at {commit}" if commit else "", f"in {result.get('workspace')}"]
            last.pop(branch, None)
            last[branch] = " ".join(word for word in words if word) + f" ({row.title})"
    return list(last.values())


def _report(row: Row, text: str, *, alone: bool) -> None:
    if not interactive():
        say(text.rstrip("\n") if alone else f"# {row.title}\n\n{text.rstrip()}\n")
        return
    from cis_provider.cli.render import heading, markdown

    say()
    if not alone:
        heading(f"── {row.title} ──")
    markdown(text)
    say()


def _failure(gather: Gatherer, row: Row) -> None:
    note(f"\n{row.id} {row.title} failed: {short_error(row.error) or 'no reason given'}")
    # Without a session the reason is all there is: the rest of Airflow's log is about Airflow.
    for line in last_lines(gather, row, _LAST_LINES) if row.session_id or not row.error else ():
        note(f"  | {line}")
    note(
        f"  `cis dag logs {row.run} {row.agent}` shows all of it, `cis dag retry {row.run} {row.agent}` tries again"
    )
