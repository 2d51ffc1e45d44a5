"""What a figure gives: one row for each number with a target. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum


class Target(Enum):
    """What a row's limit is meant for."""

    RATIO_AT_MOST = "ratio <="
    RATIO_AT_LEAST = "ratio >="
    AT_MOST = "<="
    AT_LEAST = ">="
    NONE = ""
    """Told, not judged."""


@dataclass(frozen=True)
class Scale:
    """
    How much is measured.

    :param quick: Small counts, for work on the benchmarks themselves; the numbers mean little.
    """

    quick: bool = False

    def of(self, full: int, quick: int) -> int:
        """One count or the other."""
        return quick if self.quick else full


@dataclass(frozen=True)
class Row:
    """
    One number of ours, and the peer's where there is one.

    :param unit: Of both numbers.
    :param note: What a reader must know to believe it.
    """

    name: str
    ours: float
    unit: str
    peer: float | None = None
    target: Target = Target.NONE
    limit: float = 0.0
    note: str = ""

    @property
    def ratio(self) -> float | None:
        """Ours by the peer's."""
        return self.ours / self.peer if self.peer else None

    @property
    def met(self) -> bool | None:
        """Whether the target is met; nothing where there is none."""
        judged = self.ratio if self.target in (Target.RATIO_AT_MOST, Target.RATIO_AT_LEAST) else self.ours
        if self.target is Target.NONE or judged is None:
            return None
        return judged <= self.limit if self.target.value.endswith("<=") else judged >= self.limit

    def cells(self) -> tuple[str, str, str, str, str, str]:
        """Name, ours, peer, ratio, target, verdict, as text."""
        verdict = {None: "", True: "yes", False: "**no**"}[self.met]
        target = f"{self.target.value} {self.limit:g}" if self.target is not Target.NONE else ""
        peer = f"{shown(self.peer)} {self.unit}" if self.peer is not None else ""
        ratio = f"{self.ratio:.2f}" if self.ratio is not None else ""
        return (self.name, f"{shown(self.ours)} {self.unit}", peer, ratio, target, verdict)


def spread(values: Sequence[float]) -> str:
    """The smallest and the largest of some numbers: one that is far off must not hide behind a median."""
    return f"{shown(min(values))} to {shown(max(values))}"


def shown(value: float) -> str:
    """A number with three digits that matter."""
    if value == int(value) and abs(value) < 1e6:
        return str(int(value))
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"
