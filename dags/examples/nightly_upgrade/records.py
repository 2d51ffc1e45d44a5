"""What the steps tell each other. Each record is an object of the JSON block."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from nightly_upgrade.errors import StepError
from nightly_upgrade.index import Release


@dataclass(frozen=True)
class Outdated:
    """A pin, and what to try for it, the best first."""

    name: str
    version: str
    candidates: list[Release]


@dataclass(frozen=True)
class Raised:
    """A pin that was raised, checked and committed."""

    name: str
    old: str
    new: str
    commit: str
    notes: str = ""


@dataclass(frozen=True)
class Refused:
    """A version that did not pass the check, and why."""

    name: str
    old: str
    tried: str
    reason: str


@dataclass(frozen=True)
class Found:
    """
    Output of ``find``.

    :param base: The commit that everything starts from.
    :param pins: How many pins the file has.
    :param unanswered: Packages that the index told nothing about, and why.
    """

    base: str
    pins: int
    outdated: list[Outdated] = field(default_factory=list)
    unanswered: dict[str, str] = field(default_factory=dict)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Found:
        """:raises StepError: Something is missing."""
        try:
            outdated = [
                Outdated(one["name"], one["version"], [Release(**release) for release in one["candidates"]])
                for one in data["outdated"]
            ]
            return cls(data["base"], data["pins"], outdated, data.get("unanswered", {}))
        except (KeyError, TypeError) as error:
            raise StepError(
                f"the output of the step that finds outdated pins lacks something: {error}"
            ) from None


@dataclass(frozen=True)
class Upgraded:
    """
    Output of ``upgrade``.

    :param head: The commit that the branch now ends in.
    :param left: Packages left for another night.
    :param repository: Where the branch is, on the node's disk.
    """

    base: str
    head: str
    branch: str
    raised: list[Raised] = field(default_factory=list)
    refused: list[Refused] = field(default_factory=list)
    left: list[str] = field(default_factory=list)
    diff_stat: str = ""
    repository: str = ""

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Upgraded:
        """:raises StepError: Something is missing."""
        try:
            return cls(
                base=data["base"],
                head=data["head"],
                branch=data["branch"],
                raised=[Raised(**one) for one in data["raised"]],
                refused=[Refused(**one) for one in data["refused"]],
                left=data.get("left", []),
                diff_stat=data.get("diff_stat", ""),
                repository=data.get("repository", ""),
            )
        except (KeyError, TypeError) as error:
            raise StepError(f"the output of the step that raises pins lacks something: {error}") from None


@dataclass(frozen=True)
class Verified:
    """Output of ``verify``: did the check pass in a fresh checkout? None: there was nothing to check."""

    passed: bool | None
    seconds: float = 0.0
    reason: str = ""

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Verified:
        """:raises StepError: Something is missing."""
        try:
            return cls(data["passed"], data.get("seconds", 0.0), data.get("reason", ""))
        except KeyError as error:
            raise StepError(f"the output of the step that verifies lacks {error}") from None


def to_dict(record: Found | Upgraded | Verified) -> dict[str, Any]:
    """For :func:`nightly_upgrade.handover.pack`."""
    return asdict(record)
