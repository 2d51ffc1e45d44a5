"""
Upstream outputs as one piece of Markdown for a prompt. Pure.

Each output stands under a heading with its agent's id, inside a fence longer than any in it: whatever an
agent wrote, headings and fences included, stays inside its own part.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from cis_provider.context.outputs import StoredOutput, cut_middle

#: Where an agent finds the whole text of an output that was cut.
WHOLE_TEXT = "$CIS_INPUTS/{id}.md"

_BACKTICKS = re.compile(r"`+")

# A fence is longer than any run of backticks in it; so that it does not grow without end, they may not, either.
_LONGEST = 60
_ABSURD = re.compile(rf"`{{{_LONGEST + 1},}}")


def assemble_markdown(
    outputs: Sequence[StoredOutput], *, budget_chars: int, whole_text: str = WHOLE_TEXT
) -> str:
    """
    The outputs under headings, in the order given.

    :param budget_chars: Characters of output text at most. Headings, fences and notes come on top: about
        400 for each output, and the length of its id three times.
    :param whole_text: Where the whole text of a cut output is; ``{id}`` stands for the agent's id.

    Short outputs stay whole; the others share alike what is left, and show their beginning and their end.
    """
    shares = fair_shares([len(output.output) for output in outputs], budget_chars)
    parts = [_part(output, share, whole_text) for output, share in zip(outputs, shares, strict=True)]
    return "\n\n".join(parts)


def fair_shares(lengths: Sequence[int], budget: int) -> list[int]:
    """How much of each length fits: as equal as can be, nothing wasted, the sum never above ``budget``."""
    shares = [0] * len(lengths)
    rest = max(budget, 0)
    by_length = sorted(range(len(lengths)), key=lambda index: lengths[index])
    for done, index in enumerate(by_length):
        shares[index] = min(lengths[index], rest // (len(lengths) - done))
        rest -= shares[index]
    return shares


def _part(output: StoredOutput, share: int, whole_text: str) -> str:
    name = re.sub(r"[`\s]+", " ", output.agent_id).strip()
    failed = f" (failed: {output.subtype})" if output.is_error else ""
    heading = f"## Output of `{name}`{failed}"
    if not output.output.strip():
        return f"{heading}\n\n(no output)"
    begin, end = cut_middle(output.output, share)
    shown = len(begin) + len(end)
    if shown == len(output.output):
        return f"{heading}\n\n{fenced(output.output)}"
    where = whole_text.format(id=name)
    note = (
        f"(Cut: {shown:,} of {len(output.output):,} characters are shown, the beginning and the end. "
        f"The whole text is in `{where}`.)"
    )
    if not shown:
        return f"{heading}\n\n{note}"
    gap = f"[... {len(output.output) - shown:,} characters cut ...]"
    text = "\n".join((begin.removesuffix("\n"), gap, end))
    return f"{heading}\n\n{fenced(text)}\n\n{note}"


def fenced(text: str) -> str:
    """Text in a Markdown fence that nothing in it can end."""
    text = _ABSURD.sub("`" * _LONGEST, text)
    longest = max(map(len, _BACKTICKS.findall(text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}\n{text}{'' if text.endswith(chr(10)) else chr(10)}{fence}"
