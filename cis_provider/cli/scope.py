"""``cis dag scope``: whose scope the agents of a CIS file are in, and why."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from cis_provider.cli.screen import aligned, say, say_json

if TYPE_CHECKING:
    from dag_factory.validate import Checked

_TURNS = {
    "run": "run: one run at a time, from its first agent to its last",
    "agent": "agent: one agent at a time",
    "no": "no: only numbers limit",
}


@dataclass(frozen=True)
class ScopeRow:
    """
    The agents of a file that are in one scope, on one node.

    :param agents: Their ids, in the order of the file.
    :param rule: What decided it; several rules with ``;`` between them.
    :param exclusive: How a run has the scope: ``run``, ``agent`` or ``no``.
    :param slots: Of the pool: agents at work at once.
    :param worker: Name of the scope's worker; nothing for a template, which is settled when a run starts.
    :param node: Empty: wherever Airflow's default queue leads.
    """

    scope: str
    agents: tuple[str, ...]
    rule: str
    exclusive: str
    pool: str
    slots: int
    worker: str | None
    node: str


def show_scopes(file: Path, *, as_json: bool) -> None:
    """
    Print the scopes of a file.

    :raises InvalidSpec: It has mistakes, all of which are listed.
    """
    from dag_factory.folder import check_file

    rows = list(scope_rows(check_file(file, shown_as=str(file))))
    if as_json:
        say_json([asdict(row) for row in rows])
        return
    for place, row in enumerate(rows):
        if place:
            say()
        say(row.scope)
        for line in aligned(_lines(row)):
            say(f"  {line}")


def scope_rows(checked: Checked) -> Iterator[ScopeRow]:
    """
    A row for each scope and node, in the order of the agents.

    :raises InvalidSpec: The file has mistakes.
    """
    from cis_provider.model.scope import TaskScope
    from dag_factory.plan import make_plan
    from dag_factory.scopes import effective_exclusive, is_template

    rows: dict[tuple[str, str], ScopeRow] = {}
    spec = checked.need()
    for task in make_plan(checked).tasks:
        decision = checked.scopes.decisions.get(task.task_id)
        if decision is None:
            continue  # the task that judges the run
        scope, node = decision.scope, str(task.arguments.get("queue", ""))
        row = rows.get((scope, node)) or ScopeRow(
            scope=scope,
            agents=(),
            rule=decision.rule,
            exclusive=effective_exclusive(spec.exclusive, scope),
            pool=task.arguments["pool"],
            slots=task.arguments["pool_size"],
            worker=None if is_template(scope) else TaskScope.parse(scope).worker_name,
            node=node,
        )
        known = row.rule.split("; ")
        rule = row.rule if decision.rule in known else f"{row.rule}; {decision.rule}"
        rows[scope, node] = replace(row, agents=(*row.agents, task.task_id), rule=rule)
    yield from rows.values()


def _lines(row: ScopeRow) -> list[tuple[str, str]]:
    return [
        ("agents", ", ".join(row.agents)),
        ("decided by", row.rule),
        ("exclusive", _TURNS[row.exclusive]),
        ("pool", f"{row.pool}, {row.slots} slot{'' if row.slots == 1 else 's'}"),
        ("worker", row.worker or "settled when a run starts"),
        ("node", row.node or "any: Airflow's default queue"),
    ]
