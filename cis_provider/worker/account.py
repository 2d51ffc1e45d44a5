"""What a session has used and done so far, over all programs and workers that were at work in it."""

from __future__ import annotations

import msgspec

from cis_provider.model.options import Budget
from cis_provider.runtimes.events import Usage
from cis_provider.worker import judging
from cis_provider.worker.check import CheckReport
from cis_provider.worker.context import Outcome
from cis_provider.worker.dialogue import Dialogue
from cis_provider.worker.journal import Asker


class Account:
    """
    Adds up.

    :param budget: What the agent's file gives it.
    """

    def __init__(self, budget: Budget) -> None:
        self.checked: CheckReport | None = None
        #: How often a failed check went back to the agent.
        self.checks_sent_back = 0
        #: How often an answer in the wrong form did.
        self.forms_sent_back = 0
        #: How often its program died.
        self.crashes = 0
        #: How often in a row it met a usage limit.
        self.rests = 0
        self._step = self._budget = budget
        self._usage = Usage()
        self._turns = 0
        self._denied: dict[str, None] = {}

    def take_over(self, asker: Asker) -> None:
        """What the session had used and done when its worker was lost."""
        self._usage, self._turns = asker.usage, asker.turns
        self._budget = asker.budget or self._step
        self._denied = dict.fromkeys(asker.denied)
        self.checked = msgspec.convert(asker.checked, CheckReport) if asker.checked else None
        self.checks_sent_back, self.forms_sent_back = asker.checks_sent_back, asker.forms_sent_back
        self.crashes, self.rests = asker.crashes, asker.rests

    def asker(
        self, dialogue: Dialogue | None, *, conversation_id: str, agent_type: str, worked: float
    ) -> Asker:
        """The same for the worker after this one."""
        return Asker(
            agent_type=agent_type,
            conversation_id=conversation_id,
            usage=self.usage(dialogue),
            turns=self.turns(dialogue),
            worked=worked,
            budget=self._budget if self._budget != self._step else None,
            denied=self._all_denied(dialogue),
            checked=self.checked.to_dict() if self.checked else {},
            checks_sent_back=self.checks_sent_back,
            forms_sent_back=self.forms_sent_back,
            crashes=self.crashes,
            rests=self.rests,
        )

    def usage(self, dialogue: Dialogue | None) -> Usage:
        """Tokens and cost, those of the program at work included."""
        return judging.total(self._usage, dialogue.usage) if dialogue else self._usage

    def turns(self, dialogue: Dialogue | None) -> int:
        """Model calls, those of the program at work included."""
        return self._turns + (dialogue.turns if dialogue else 0)

    def settle(self, dialogue: Dialogue) -> None:
        """A program is over: what it used is counted once and for all."""
        self._usage, self._turns = self.usage(dialogue), self.turns(dialogue)
        self._denied = dict.fromkeys(self._all_denied(dialogue))

    def over_budget(self, dialogue: Dialogue | None) -> str:
        """Which limit of its budget is reached, in words; empty: none."""
        return judging.over_budget(self._budget, self.usage(dialogue), self.turns(dialogue))

    def raise_budget(self, dialogue: Dialogue | None) -> None:
        """It may use as much again."""
        self._budget = judging.grown(self._budget, self._step, self.usage(dialogue), self.turns(dialogue))

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

    def _all_denied(self, dialogue: Dialogue | None) -> tuple[str, ...]:
        return tuple(self._denied | dict.fromkeys(dialogue.denied if dialogue else ()))
