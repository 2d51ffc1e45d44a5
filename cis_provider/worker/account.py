"""What a session has used and done so far, over all programs that worked in it."""

from __future__ import annotations

import msgspec

from cis_provider.runtimes.events import Usage
from cis_provider.worker import judging
from cis_provider.worker.check import CheckReport
from cis_provider.worker.context import Outcome
from cis_provider.worker.dialogue import Dialogue


class Account:
    """Adds up."""

    def __init__(self) -> None:
        self.checked: CheckReport | None = None
        self._usage = Usage()
        self._turns = 0
        self._denied: dict[str, None] = {}

    def take_over(self, usage: Usage, turns: int) -> None:
        """What the session had used when its worker was lost."""
        self._usage, self._turns = usage, turns

    def usage(self, dialogue: Dialogue | None) -> Usage:
        """Tokens and cost, those of the program at work included."""
        return judging.total(self._usage, dialogue.usage) if dialogue else self._usage

    def turns(self, dialogue: Dialogue | None) -> int:
        """Model calls, those of the program at work included."""
        return self._turns + (dialogue.turns if dialogue else 0)

    def settle(self, dialogue: Dialogue) -> None:
        """A program is over: what it used is counted once and for all."""
        self._usage, self._turns = self.usage(dialogue), self.turns(dialogue)

    def deny(self, denied: tuple[str, ...]) -> None:
        """It was not allowed to do these."""
        self._denied |= dict.fromkeys(denied)

    def entered(self, outcome: Outcome) -> Outcome:
        """The same outcome with all of it."""
        usage = msgspec.to_builtins(self._usage)
        return msgspec.structs.replace(
            outcome,
            num_turns=self._turns,
            cost_usd=usage.pop("cost_usd"),
            usage={kind: count for kind, count in usage.items() if count},
            denied=tuple(self._denied),
            checked=self.checked.to_dict() if self.checked else {},
        )
