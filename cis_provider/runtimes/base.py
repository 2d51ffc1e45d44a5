"""What a runtime must be able to do."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from pathlib import Path

from cis_provider.model.result import Subtype
from cis_provider.model.session import SessionRequest


@dataclass(frozen=True)
class Launch:
    """
    A program to start.

    :param argv: Never holds a secret: any user of the machine may read it.
    :param env: Variables that the program needs besides the agent's.
    """

    argv: list[str]
    env: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Verdict:
    """How a program's end is to be understood; ``error`` is empty on success."""

    subtype: Subtype
    error: str = ""


class Runtime(ABC):
    """One kind of agent. Stateless: one object serves many sessions."""

    name: str

    @abstractmethod
    def launch(self, request: SessionRequest, folder: Path) -> Launch:
        """
        Write what the program needs into ``folder`` (the session's own) and say how to start it.

        :raises PermanentAgentError: It cannot be started, now or later.
        """

    @abstractmethod
    def verdict(self, exit_code: int, tail: bytes) -> Verdict:
        """
        Judge the end of the program.

        :param exit_code: As a shell would say it: 128 + N for signal N.
        :param tail: The last few KB of its output.
        """
