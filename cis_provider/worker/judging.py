"""Judgements about an agent's work. Pure: no clock, no process, no file."""

from __future__ import annotations

import json
import re
from typing import Any

from cis_provider.model.options import Budget
from cis_provider.model.result import Subtype
from cis_provider.runtimes.events import TurnEnded, Usage

#: Seconds between two attempts at a limit that does not say when it ends: growing, the last one for good.
PAUSES = (60.0, 120.0, 300.0, 900.0, 1800.0, 3600.0)

#: A limit that says it ends later than this is not believed: it is tried again by then.
_LONGEST_REST = 8 * 24 * 3600.0

#: Seconds after a reset at which it is tried: clocks differ.
_MARGIN = 1.0

_FENCED = re.compile(r"```(?:json)?[ \t]*\n(.*?)\n[ \t]*```", re.DOTALL)


def rest(retry_at: float, attempt: int, now: float) -> float:
    """
    Seconds to rest at a usage limit.

    :param retry_at: When it ends, seconds since the epoch; 0: it does not say.
    :param attempt: 0 for the first rest in a row.
    """
    if retry_at > now:
        return min(retry_at - now + _MARGIN, _LONGEST_REST)
    return PAUSES[min(attempt, len(PAUSES) - 1)]


def bad_end(end: TurnEnded) -> tuple[Subtype, str] | None:
    """How a turn ended that has not ended well, limits and logins apart; ``None``: well."""
    match end.stop_reason:
        case "end_turn":
            return None
        case "error" if end.error_class == "permanent":
            return "agent_error", end.error or "its program says that this cannot work, and not why"
        case "error":
            return "provider", end.error or "the turn ended in an error that its program does not name"
        case "refusal":
            return "refused", end.text.strip() or "the model refused to go on"
        case "cancelled":
            return "interrupted", "its turn was cancelled, and not by this node"
        case "max_tokens":
            return "budget", "its answer was cut at the model's own limit of tokens"
        case "max_turn_requests":
            return "budget", "its program's own limit of model calls was reached"


def total(before: Usage, current: Usage) -> Usage:
    """What a session has used: by earlier processes, and by this one."""
    costs = [usage.cost_usd for usage in (before, current) if usage.cost_usd is not None]
    return Usage(
        input_tokens=before.input_tokens + current.input_tokens,
        output_tokens=before.output_tokens + current.output_tokens,
        cached_tokens=before.cached_tokens + current.cached_tokens,
        cost_usd=sum(costs) if costs else None,
    )


def over_budget(budget: Budget, usage: Usage, turns: int) -> str:
    """Which limit is reached, in words; empty: none."""
    tokens = usage.input_tokens + usage.output_tokens
    if budget.max_turns and turns > budget.max_turns:
        return f"max_turns of {budget.max_turns}"
    if budget.max_tokens and tokens >= budget.max_tokens:
        return f"max_tokens of {budget.max_tokens:,} ({tokens:,} used)"
    if budget.max_cost_usd and (usage.cost_usd or 0.0) >= budget.max_cost_usd:
        return f"max_cost_usd of {budget.max_cost_usd:g} ({usage.cost_usd:.4f} used)"
    return ""


def grown(budget: Budget, step: Budget, usage: Usage, turns: int) -> Budget:
    """
    The budget with as much again, as often as it takes to leave something.

    :param step: What the agent's file gave it.
    """
    while over_budget(budget, usage, turns):
        budget = Budget(
            max_turns=budget.max_turns + step.max_turns,
            max_cost_usd=budget.max_cost_usd + step.max_cost_usd,
            max_tokens=budget.max_tokens + step.max_tokens,
        )
    return budget


def structured_answer(text: str, schema: dict[str, Any]) -> tuple[Any, str]:
    """
    The JSON value in an answer, and what is wrong with it; the latter is empty when nothing is.

    The whole answer counts, else the last fenced block in it.
    """
    from jsonschema import ValidationError, validators

    candidates = [text.strip(), *reversed(_FENCED.findall(text))]
    for candidate in candidates:
        try:
            value = json.loads(candidate)
        except ValueError:
            continue
        try:
            validators.validator_for(schema)(schema).validate(value)
        except ValidationError as error:
            where = "/".join(str(step) for step in error.absolute_path)
            return value, f"{error.message}{f' (at {where})' if where else ''}"
        return value, ""
    return None, "it is no JSON" if text.strip() else "it is empty"
