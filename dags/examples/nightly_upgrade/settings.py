"""What the CIS file tells every step, by environment variables."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from nightly_upgrade.errors import StepError


@dataclass(frozen=True)
class Settings:
    """
    One upgrade's orders.

    :param repo: The repository, as the user named it. The work itself is done in a worktree of it.
    :param requirements: Path of the file with the pins, from the top of the repository.
    :param check: Bash command, run at the top of the worktree; exit code 0 means good.
    :param max_raises: So many pins are raised at most, the others wait for another night.
    :param check_timeout: Seconds that one check may take.
    """

    repo: str
    requirements: str
    check: str
    max_raises: int
    check_timeout: float

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Settings:
        """:raises StepError: A variable is missing or is no number."""
        return cls(
            repo=_text(environment, "UPGRADE_REPO"),
            requirements=_text(environment, "UPGRADE_REQUIREMENTS"),
            check=_text(environment, "UPGRADE_CHECK"),
            max_raises=_whole_number(environment, "UPGRADE_MAX_RAISES"),
            check_timeout=_whole_number(environment, "UPGRADE_CHECK_TIMEOUT"),
        )


def _text(environment: Mapping[str, str], name: str) -> str:
    value = environment.get(name, "").strip()
    if not value:
        raise StepError(f"{name} is not set; the env of the CIS file sets it from the run's params")
    return value


def _whole_number(environment: Mapping[str, str], name: str) -> int:
    value = _text(environment, name)
    if not value.isdecimal() or int(value) < 1:
        raise StepError(f"{name} is {value!r}, not a whole number of at least 1")
    return int(value)
