"""
A blockage as a form in Airflow's Required Actions, and what a filled-in form says. Pure.

Labels carry the number of the form, which is used once in a run: Airflow itself refuses an answer to an older
one, and an answer that was kept somewhere is never taken for the answer to something else.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Mapping, Sequence
from typing import Any

from cis_provider.context.assembly import fenced
from cis_provider.model.blockage import Answer, Blockage, BlockageKind, Settled
from cis_provider.model.session import SessionKey

#: Name of the field for words of one's own.
WORDS = "answer"

#: What a button says where only words are an answer, or nothing is offered.
_WORDS_LABEL = "Answer in words"
_BARE_LABELS = {
    BlockageKind.LOGIN: "Try again, the login is mended",
    BlockageKind.STALLED: "Go on",
}
_BARE_LABEL = "Go on"

#: Characters of a label, of a subject, of a note and of a body.
_LABEL, _SUBJECT, _NOTE, _BODY = 120, 200, 1000, 60_000

_WANTS = {
    BlockageKind.PERMISSION: "asks for permission",
    BlockageKind.QUESTION: "asks a question",
    BlockageKind.LOGIN: "cannot log in",
    BlockageKind.TRUST: "asks for trust",
    BlockageKind.RATE_LIMIT: "is limited by its provider",
    BlockageKind.QUOTA: "has used up its quota",
    BlockageKind.STALLED: "shows no sign of life",
}


def labels(blockage: Blockage, number: int) -> dict[str, str]:
    """
    The buttons of a form: label to id of the option; an empty id stands for none of the agent's own.

    :param number: Of the form.
    """
    found: dict[str, str] = {}
    for option in blockage.options:
        text = _one_line(option.label, _LABEL) or option.id
        label = f"{text} ({number})"
        again = 2
        while label in found:
            label, again = f"{text} #{again} ({number})", again + 1
        found[label] = option.id
    if blockage.free_text:
        found.setdefault(f"{_WORDS_LABEL} ({number})", "")
    if not found:
        found[f"{_BARE_LABELS.get(blockage.kind, _BARE_LABEL)} ({number})"] = ""
    return found


def is_of_form(chosen: Sequence[str], number: int) -> bool:
    """Whether chosen labels are those of the form with this number."""
    return bool(chosen) and all(label.endswith(f" ({number})") for label in chosen)


def read_answer(
    blockage: Blockage, number: int, response: Mapping[str, Any], answer_id: str
) -> Answer | None:
    """
    What a filled-in form says; ``None``: it is another form's.

    :param response: ``chosen_options``, ``params_input`` and ``responded_by_user``, as Airflow has them.
    """
    chosen = list(response.get("chosen_options") or ())
    known = labels(blockage, number)
    if len(chosen) != 1 or chosen[0] not in known:
        return None
    return Answer(
        number=blockage.number,
        option=known[chosen[0]],
        text=words_of(response) if blockage.free_text else "",
        by=who(response),
        id=answer_id,
    )


def words_of(response: Mapping[str, Any]) -> str:
    """The words in a filled-in form."""
    words = (response.get("params_input") or {}).get(WORDS) or ""
    if isinstance(words, Mapping):
        words = words.get("value") or ""
    return str(words).strip()


def who(response: Mapping[str, Any]) -> str:
    """Who filled a form in."""
    user = response.get("responded_by_user") or {}
    return f"ui:{user.get('name') or user.get('id') or 'unknown'}"


def closing_words(settled: Settled | None, number: int) -> tuple[str, dict[str, Any]]:
    """What stands in a form that nobody has to fill in any more: the choice, and what came with it."""
    if settled is None or not (settled.option or settled.text):
        return "not needed any more", {}
    choice = f"{settled.option} ({number})" if settled.option else f"{_WORDS_LABEL} ({number})"
    return choice, {WORDS: settled.text} if settled.text else {}


def subject(key: SessionKey, blockage: Blockage) -> str:
    """One line: who, in which run, wants what."""
    part = f"[{key.map_index}]" if key.map_index >= 0 else ""
    wants = _WANTS.get(blockage.kind, str(blockage.kind))
    return _one_line(f"{key.task_id}{part} {wants}: {blockage.title} ({key.run_id})", _SUBJECT)


def body(key: SessionKey, blockage: Blockage, *, number: int, note: str = "") -> str:
    """
    Markdown: what the agent wants, since when, and how else to answer. Nothing of the agent's leaves its fence.

    :param note: Something to say before all else.
    """
    agent = f"{key.task_id}[{key.map_index}]" if key.map_index >= 0 else key.task_id
    parts = [_escaped(_one_line(note, _NOTE))] if note else []
    parts.append(f"**{_inline(blockage.title)}**")
    if blockage.tool:
        parts.append(f"Tool: {_code(blockage.tool)}")
    if blockage.detail.strip():
        parts.append(fenced(cut(blockage.detail)))
    parts.append(f"Agent {_code(agent)} of run {_code(key.run_id)} waits {_since(blockage)}.")
    if blockage.kind is BlockageKind.LOGIN:
        parts.append(
            "Mend its connection or log in on its node first; "
            "the answer hands it what the connection holds then."
        )
    parts.append(
        f"Form {number}. Its terminal: {_code(f'cis dag attach {key.run_id} {key.task_id}')}. "
        "While the DAG is paused, an answer given here waits until it is not; "
        f"{_code(f'cis dag answer {key.run_id} {key.task_id}')} and the terminal deliver at once."
    )
    return "\n\n".join(parts)


def refusing(blockage: Blockage) -> str:
    """Id of the option that says no, this once where there is a choice; empty: there is none."""
    for kind in ("reject_once", "reject_always"):
        for option in blockage.options:
            if option.kind == kind:
                return option.id
    return ""


def _since(blockage: Blockage) -> str:
    if not blockage.since:
        return "for an answer"
    moment = datetime.datetime.fromtimestamp(blockage.since, tz=datetime.UTC)
    return f"since {moment:%Y-%m-%d %H:%M:%S} UTC"


def cut(text: str) -> str:
    """Text that a form has room for, and Airflow's database takes: of a longer one the beginning and the end."""
    text = _storable(text)
    if len(text) <= _BODY:
        return text
    half = _BODY // 2
    return f"{text[:half]}\n[... {len(text) - _BODY:,} characters cut ...]\n{text[-half:]}"


def _inline(text: str) -> str:
    """Text in which nothing is Markdown or HTML."""
    return _escaped(_one_line(text, _SUBJECT))


def _escaped(text: str) -> str:
    return re.sub(r"([\\`*_{}\[\]()<>#|!~&])", r"\\\1", text)


def _code(text: str) -> str:
    text = _one_line(text, _SUBJECT)
    ticks = "`" * (max(map(len, re.findall(r"`+", text)), default=0) + 1)
    space = " " if "`" in text else ""
    return f"{ticks}{space}{text}{space}{ticks}"


def _one_line(text: str, limit: int) -> str:
    text = " ".join(_storable(text).split())
    return text if len(text) <= limit else f"{text[: limit - 1].rstrip()}\u2026"


def _storable(text: str) -> str:
    # PostgreSQL takes no NUL.
    return text.replace("\0", "\ufffd")
