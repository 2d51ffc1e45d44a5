"""``cis dag stats``: what the agents of a run used: time, model calls, tokens, money, and what was checked."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from cis_provider.cli.rows import Row
from cis_provider.cli.screen import note, say_json, table
from cis_provider.cli.words import duration


class Stat(msgspec.Struct, frozen=True, kw_only=True):
    """
    One agent's account. Told for failed agents, too.

    :param type: Who ended the work: another than was asked for, where a fallback took over.
    :param seconds: At work.
    :param cost_usd: As its program says; ``None``: it does not.
    :param check: ``passed``, ``failed`` or empty: nothing was checked.
    """

    id: str
    agent: str
    status: str
    type: str
    seconds: float
    turns: int
    input_tokens: int
    cached_tokens: int
    output_tokens: int
    cost_usd: float | None
    check: str
    denied: tuple[str, ...] = ()
    error: str = ""


def stats_of(rows: Iterable[Row], results: Mapping[tuple[str, int], Mapping[str, Any]]) -> list[Stat]:
    """The accounts of the agents that have a result."""
    stats = []
    for row in rows:
        result = results.get((row.agent, row.map_index))
        if result is None:
            continue
        usage, checked = result.get("usage") or {}, result.get("checked") or {}
        stats.append(
            Stat(
                id=row.id,
                agent=row.title,
                status=row.status,
                type=str(result.get("agent_type") or ""),
                seconds=float(result.get("duration") or 0.0),
                turns=int(result.get("num_turns") or 0),
                input_tokens=int(usage.get("input_tokens") or 0),
                cached_tokens=int(usage.get("cached_tokens") or 0),
                output_tokens=int(usage.get("output_tokens") or 0),
                cost_usd=result.get("cost_usd"),
                check="" if not checked else "passed" if checked.get("passed") else "failed",
                denied=tuple(result.get("denied") or ()),
                error=str(result.get("error") or ""),
            )
        )
    return stats


def show(stats: list[Stat], *, run: str, as_json: bool) -> None:
    """A table with a line for the whole, or JSON."""
    costs = [stat.cost_usd for stat in stats if stat.cost_usd is not None]
    total = {
        "seconds": round(sum(stat.seconds for stat in stats), 3),
        "turns": sum(stat.turns for stat in stats),
        "input_tokens": sum(stat.input_tokens for stat in stats),
        "cached_tokens": sum(stat.cached_tokens for stat in stats),
        "output_tokens": sum(stat.output_tokens for stat in stats),
        "cost_usd": sum(costs) if costs else None,
    }
    if as_json:
        say_json({"run": run, "agents": msgspec.to_builtins(stats), "total": total})
        return
    if not stats:
        note(f"no agent of {run} has ended yet")
        return
    rows = [
        [
            stat.agent,
            stat.type,
            stat.status,
            duration(stat.seconds),
            f"{stat.turns:,}",
            f"{stat.input_tokens:,}",
            f"{stat.cached_tokens:,}",
            f"{stat.output_tokens:,}",
            _money(stat.cost_usd),
            stat.check,
        ]
        for stat in stats
    ]
    whole = ["total", "", "", duration(float(total["seconds"] or 0)), f"{total['turns']:,}"]
    whole += [f"{total[kind]:,}" for kind in ("input_tokens", "cached_tokens", "output_tokens")]
    heads = ["AGENT", "TYPE", "STATUS", "TIME", "TURNS", "IN", "CACHED", "OUT", "COST", "CHECK"]
    table(heads, [*rows, [*whole, _money(total["cost_usd"]), ""]])
    for stat in stats:
        if stat.denied:
            note(f"{stat.agent} was not allowed to: {', '.join(stat.denied)}")


def _money(dollars: float | None) -> str:
    return "" if dollars is None else f"${dollars:.4f}" if dollars < 1 else f"${dollars:,.2f}"
