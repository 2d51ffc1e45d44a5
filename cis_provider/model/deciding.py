"""Answers to blockages: which option a human means, and what an agent's rules decide without one. Pure."""

from __future__ import annotations

import time

import msgspec

from cis_provider.errors import InvalidAnswer
from cis_provider.model.blockage import Answer, Blockage, BlockageKind, Option, Settled
from cis_provider.model.on_blocked import OnBlocked
from cis_provider.model.patterns import matches

#: Ids of the options that a worker offers where the agent has none of its own.
RETRY, NOW, STOP, NUDGE, WAIT, MORE, GO_ON = "retry", "now", "stop", "nudge", "wait", "more", "go-on"

_NOBODY = "Nobody was there to answer in time."

#: An answer no with which the program asks on, instead of going on without.
_ASKS_ON = ("revise", "edit")


def find_option(options: tuple[Option, ...], words: str) -> Option | None:
    """
    The option that somebody means: its id, its label, ``allow`` or ``deny`` (for this once), or the beginning of
    one id or label alone. Case does not matter. ``None``: none, or more than one.
    """
    wanted = words.strip().casefold()
    if not wanted:
        return None
    for exact in (
        lambda o: o.id == words,
        lambda o: o.id.casefold() == wanted,
        lambda o: _label(o) == wanted,
    ):
        if found := [option for option in options if exact(option)]:
            return found[0] if len(found) == 1 else None
    if wanted in ("allow", "yes") and (yes := _allowing(options)):
        return yes
    if wanted in ("deny", "no") and (no := _refusing(options)):
        return no
    found = [o for o in options if o.id.casefold().startswith(wanted) or _label(o).startswith(wanted)]
    return found[0] if len(found) == 1 else None


def choose(blockage: Blockage, answer: Answer) -> Answer:
    """
    The answer with the id of the option that it means.

    :raises InvalidAnswer: The blockage offers no such option, or takes no words; says what it takes.
    """
    if answer.secrets and blockage.kind is not BlockageKind.LOGIN:
        raise InvalidAnswer(f"question {blockage.number} is no login: it takes no secrets")
    if answer.option:
        option = find_option(blockage.options, answer.option)
        if option is None:
            raise InvalidAnswer(
                f"question {blockage.number} has no option {answer.option!r}; it takes: {takes(blockage)}"
            )
        return msgspec.structs.replace(answer, option=option.id)
    if not (blockage.free_text and answer.text.strip()):
        raise InvalidAnswer(f"question {blockage.number} takes: {takes(blockage)}")
    return answer


def takes(blockage: Blockage) -> str:
    """What a blockage takes for an answer, in words: its options by id and label, and whether words."""
    offered = [
        option.id if option.id.casefold() == _label(option) else f"{option.id} ({option.label})"
        for option in blockage.options
    ]
    return ", ".join([*offered, *(["words of one's own"] if blockage.free_text else [])]) or "nothing"


def became(settled: Settled) -> str:
    """What ended a blockage, in words."""
    at = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(settled.settled_at))
    if settled.by:
        said = settled.option or settled.text
        return f"question {settled.number} was answered by {settled.by}{f' ({said})' if said else ''} at {at}"
    if settled.text:
        return f"question {settled.number} waits no more since {at}: {settled.text}"
    return f"question {settled.number} ended by itself at {at}"


def label_of(blockage: Blockage, option_id: str) -> str:
    """What a human reads for an option; its id where it is none of the blockage's."""
    return next((one.label for one in blockage.options if one.id == option_id), option_id)


def decide(blockage: Blockage, rules: OnBlocked, *, nudged: bool = False) -> Answer | None:
    """
    What an agent's rules answer, without a human; ``None``: a human is asked. Never more than this once.

    :param nudged: Whether this turn was nudged before: once is enough.
    """
    match blockage.kind:
        case BlockageKind.PERMISSION:
            return _permission(blockage, rules)
        case BlockageKind.TRUST if rules.trust != "ask":
            allowed = rules.trust == "allow"
            option = _allowing(blockage.options) if allowed else _refusing(blockage.options)
            return _by_rule(blockage, f"trust: {rules.trust}", option)
        case BlockageKind.QUESTION if rules.question == "answer" and rules.answer:
            return _question(blockage, rules.answer)
        case BlockageKind.LOGIN if rules.login == "fail":
            return _by_rule(blockage, "login: fail", _own(blockage, STOP))
        case BlockageKind.STALLED if rules.stalled == "fail":
            return _by_rule(blockage, "stalled: fail", _own(blockage, STOP))
        case BlockageKind.STALLED if rules.stalled == "nudge" and not nudged:
            return _by_rule(blockage, "stalled: nudge", _own(blockage, NUDGE))
        case _:
            return None


def refusal(blockage: Blockage) -> Answer | None:
    """The answer of somebody who did not come in time: no. ``None``: there is no such answer."""
    by = "rule:answer_timeout: deny"
    option = _refusing(blockage.options) or _own(blockage, STOP)
    if option is None and not blockage.free_text:
        return None
    return Answer(number=blockage.number, option=option.id if option else "", text=_NOBODY, by=by)


def _permission(blockage: Blockage, rules: OnBlocked) -> Answer | None:
    if rules.permission == "deny":
        return _by_rule(blockage, "permission: deny", _refusing(blockage.options))
    if rules.permission == "allow":
        for pattern in rules.allow:
            if matches(pattern, (blockage.tool, *blockage.names), blockage.subjects):
                return _by_rule(blockage, f"permission: allow: {pattern}", _allowing(blockage.options))
    return None


def _question(blockage: Blockage, words: str) -> Answer | None:
    if option := find_option(blockage.options, words):
        return _by_rule(blockage, "question: answer", option)
    if not blockage.free_text:
        return None
    return Answer(number=blockage.number, text=words, by="rule:question: answer")


def _by_rule(blockage: Blockage, rule: str, option: Option | None) -> Answer | None:
    return Answer(number=blockage.number, option=option.id, by=f"rule:{rule}") if option else None


def _own(blockage: Blockage, option_id: str) -> Option | None:
    """An option that a worker itself offers."""
    return next((one for one in blockage.options if one.id == option_id), None)


def _allowing(options: tuple[Option, ...]) -> Option | None:
    """For this once. What allows for good is chosen by a human, who reads it."""
    return next((one for one in options if one.kind == "allow_once"), None)


def _refusing(options: tuple[Option, ...]) -> Option | None:
    once = [one for one in options if one.kind == "reject_once"]
    for_good = [one for one in options if one.kind == "reject_always"]
    ends = [one for one in once if not one.id.casefold().startswith(_ASKS_ON)]
    return next(iter([*ends, *once, *for_good]), None)


def _label(option: Option) -> str:
    return option.label.strip().casefold()
