"""What Airflow asks humans under Required Actions, as the blockages that it stands for. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable

from cis_provider.cli.records import HumanQuestion
from cis_provider.cli.rows import Asked
from cis_provider.model.blockage import Blockage, BlockageKind, Option

#: Group of the tasks that ask for agents, as a DAG has it.
GROUP = "interventions."
#: An agent's question has its number in each label, so that Airflow refuses an answer to an older one.
_NUMBERED = re.compile(r"(?P<label>.*) \((?P<number>\d+)\)", re.DOTALL)


def asked_of(questions: Iterable[HumanQuestion]) -> dict[tuple[str, int], Asked]:
    """By task id and map index of the agent, or of the step where a human decides."""
    found = {}
    for question in questions:
        ti = question.task_instance
        found[ti.task_id.removeprefix(GROUP), ti.map_index] = Asked(blockage_of(question), ti.task_id)
    return found


def blockage_of(question: HumanQuestion) -> Blockage:
    """A question of Airflow's; an option's id is what Airflow takes for it."""
    numbers = [match["number"] for label in question.options if (match := _NUMBERED.fullmatch(label))]
    return Blockage(
        number=int(numbers[0]) if numbers else 0,
        kind=BlockageKind.QUESTION,
        title=question.subject,
        detail=question.body or "",
        options=tuple(Option(label, _bare(label)) for label in question.options),
        free_text=bool(question.params),
        since=question.created_at.timestamp(),
    )


def _bare(label: str) -> str:
    match = _NUMBERED.fullmatch(label)
    return match["label"] if match else label
