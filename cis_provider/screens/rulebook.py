"""Rules of one program, ready to be asked. The format of their files: ``rules/README.md``."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, get_args

from cis_provider.model.blockage import BlockageKind
from cis_provider.screens.conditions import Condition
from cis_provider.screens.regions import Cut
from cis_provider.screens.versions import within

State = Literal["working", "idle", "blocked", "retrying", "error", "exited", "unknown"]
STATES: tuple[str, ...] = get_args(State)


@dataclass(frozen=True)
class Rule:
    """
    What one look of a screen means.

    :param keys: Answers by name, and the keys that give them: ``{"allow": ("1",), "deny": ("esc",)}``.
    :param versions: Range of the program's versions it is for; empty: all.
    """

    id: str
    state: State
    when: Condition
    kind: BlockageKind | None = None
    keys: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    versions: str = ""


@dataclass(frozen=True)
class RuleBook:
    """
    All rules of one program, in the order in which they are asked: the first that holds decides.

    :param tested: Versions whose screens the rules were tried on.
    :param version_text: Finds the program's version in its own text: group 1.
    """

    program: str
    rules: tuple[Rule, ...]
    cuts: Mapping[str, Cut]
    tested: tuple[str, ...] = ()
    version_text: re.Pattern[str] | None = None

    def for_version(self, version: str) -> tuple[Rule, ...]:
        """The rules that a version needs; all of them if it is not known."""
        return tuple(rule for rule in self.rules if within(version, rule.versions))


def in_order(rules: list[Rule]) -> tuple[Rule, ...]:
    """Exited first, since the last screen stays; then blocked; then all others, each as they were written."""
    return tuple(sorted(rules, key=lambda rule: {"exited": 0, "blocked": 1}.get(rule.state, 2)))
