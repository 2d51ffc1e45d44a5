"""What Airflow asks humans under Required Actions, as the blockages that it stands for. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable

from cis_provider.cli.records import HumanQuestion
from cis_provider.cli.rows import Asked
from cis_provider.model.blockage import Blockage, BlockageKind, Option

#: Group of the tasks that ask for agents, as a DAG has it.
GROUP = "interventions."
#: A form's field for words of one's own, and the option beside it; ``sensors.forms`` makes them.
WORDS_FIELD, _WORDS_OPTION = "answer", "Answer in words"
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
    ti = question.task_instance
    in_words = any(_bare(label) == _WORDS_OPTION for label in question.options)
    detail = question.body or ""
    if question.params and not in_words:
        detail = f"{detail}\n\n(--text adds words of your own to an option)"
    return Blockage(
        number=int(numbers[0]) if numbers else 0,
        kind=BlockageKind.QUESTION,
        title=question.subject.removesuffix(f" ({ti.dag_run_id})").removeprefix(f"{ti.task_id}: "),
        detail=detail,
        options=tuple(
            Option(label, _bare(label)) for label in question.options if _bare(label) != _WORDS_OPTION
        ),
        free_text=in_words,
        since=question.created_at.timestamp(),
    )


def words_label(blockage: Blockage) -> str:
    """The option that goes with words of one's own."""
    return f"{_WORDS_OPTION} ({blockage.number})"


def _bare(label: str) -> str:
    match = _NUMBERED.fullmatch(label)
    return match["label"] if match else label
