"""When a component that died is started again. Pure: no clock, no process."""

from __future__ import annotations

from dataclasses import dataclass

_FIRST_DELAY, _LONGEST_DELAY = 0.5, 30.0
_STEADY = 60.0  # seconds of life after which earlier deaths no longer count
_HOPELESS = 3  # early deaths in a row before the first time all was healthy


@dataclass
class Restarts:
    """One component's deaths."""

    total: int = 0
    early: int = 0

    def died(self, lived: float) -> float:
        """
        Note a death; gives back the seconds to wait before the next start.

        :param lived: Seconds from its start to its end.
        """
        self.total += 1
        self.early = 1 if lived >= _STEADY else self.early + 1
        return min(_FIRST_DELAY * 2.0 ** (self.early - 1), _LONGEST_DELAY)

    @property
    def hopeless(self) -> bool:
        """Whether one that never worked should be given up: its configuration is wrong, not its luck."""
        return self.early >= _HOPELESS
