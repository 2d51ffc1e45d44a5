"""Step 4: the night in one page of Markdown. It also runs, and says so, when a step before it failed."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from nightly_upgrade.errors import StepError
from nightly_upgrade.handover import read_input, unpack, write_output
from nightly_upgrade.records import Found, Upgraded, Verified
from nightly_upgrade.settings import Settings

R = TypeVar("R", Found, Upgraded, Verified)


def run(settings: Settings, folder: Path) -> int:
    """Put together what the other steps handed over. ``folder`` is not looked at."""
    found = _handed_over("find", Found.from_dict)
    upgraded = _handed_over("upgrade", Upgraded.from_dict)
    verified = _handed_over("verify", Verified.from_dict)
    write_output(render(settings, found, upgraded, verified))
    return 0


def _handed_over(step: str, read: Callable[[dict[str, Any]], R]) -> R | None:
    """A step that failed may have left no output, or only its error: that is None here."""
    try:
        return read(unpack(read_input(step)))
    except StepError:
        return None


def render(
    settings: Settings, found: Found | None, upgraded: Upgraded | None, verified: Verified | None
) -> str:
    """The report. None stands for a step that did not come to its end."""
    parts = [f"# Dependency upgrade of `{settings.repo}`", _summary(found, upgraded, verified)]
    if upgraded:
        parts += _raised(upgraded) + _refused(upgraded) + _left(upgraded)
    if found and found.unanswered:
        lines = [f"- {name}: {reason}" for name, reason in found.unanswered.items()]
        parts.append("\n".join(["## Unknown to the package index", "", *lines]))
    if upgraded and upgraded.raised:
        parts.append(f"## Changes\n\n```\n{upgraded.diff_stat}\n```")
        parts.append(_how_to_take(settings, upgraded, verified))
    return "\n\n".join(parts) + "\n"


def _summary(found: Found | None, upgraded: Upgraded | None, verified: Verified | None) -> str:
    if not found:
        return "**The search for outdated pins failed.** Nothing was changed; its log says why."
    if not found.outdated:
        return f"All {found.pins - len(found.unanswered)} pins that the index knows are up to date."
    outdated = f"{len(found.outdated)} of {found.pins} pins were outdated"
    if not upgraded:
        return f"{outdated}. **Raising them failed**; the log of `upgrade` says why."
    return f"{outdated}, {len(upgraded.raised)} were raised. {_verdict(verified)}"


def _verdict(verified: Verified | None) -> str:
    if not verified:
        return "**They could not be verified**; the log of `verify` says why."
    if verified.passed is None:
        return "There was nothing to verify."
    if verified.passed:
        return f"The check passed in a fresh checkout, in {verified.seconds} s."
    return f"**The check failed in a fresh checkout:** {_inline(verified.reason)}"


def _raised(upgraded: Upgraded) -> list[str]:
    if not upgraded.raised:
        return []
    rows = [
        f"| {one.name} | {one.old} | {one.new} | `{one.commit[:10]}` | {_link(one.notes)} |"
        for one in upgraded.raised
    ]
    head = ["## Raised", "", "| Package | From | To | Commit | Changes |", "|---|---|---|---|---|"]
    return ["\n".join([*head, *rows])]


def _refused(upgraded: Upgraded) -> list[str]:
    if not upgraded.refused:
        return []
    now = {one.name: one.new for one in upgraded.raised}
    rows = [
        f"| {one.name} | {one.tried} | {now.get(one.name, one.old)} | {_inline(one.reason)} |"
        for one in upgraded.refused
    ]
    head = ["## Refused by the check", "", "| Package | Tried | Now at | Why |", "|---|---|---|---|"]
    return ["\n".join([*head, *rows])]


def _left(upgraded: Upgraded) -> list[str]:
    if not upgraded.left:
        return []
    return ["\n".join(["## Left for another night", "", *(f"- {name}" for name in upgraded.left)])]


def _how_to_take(settings: Settings, upgraded: Upgraded, verified: Verified | None) -> str:
    lines = ["## Branch", "", f"`{upgraded.branch}`, at {upgraded.head[:10]}."]
    if verified and verified.passed:
        lines += ["", "```", _command(settings, upgraded), "```"]
    return "\n".join(lines)


def _command(settings: Settings, upgraded: Upgraded) -> str:
    """A repository that was named by a URL has its copy on the node; the user has another one."""
    if re.match(r"\w+://|[^/]+:", settings.repo):
        return f"git fetch {upgraded.repository} {upgraded.branch} && git merge FETCH_HEAD"
    return f"git -C {settings.repo} merge {upgraded.branch}"


def _link(url: str) -> str:
    return f"[what is new]({url})" if url else ""


def _inline(text: str) -> str:
    """Foreign text as code in one table cell."""
    return "`" + text.replace("`", "'").replace("|", "\\|") + "`"
