"""What a person decided at a step of its own. Pure."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cis_provider.model.blockage import BlockageKind, Settled
from cis_provider.model.result import AgentResult
from cis_provider.sensors.forms import who, words_of

#: First words of options that refuse.
_NO = frozenset({"reject", "deny", "no", "refuse", "decline", "abort", "cancel", "stop", "disapprove"})


def refuses(option: str) -> bool:
    """Whether an option says no: by its first word."""
    words = option.replace(",", " ").replace(".", " ").lower().split()
    return bool(words) and words[0] in _NO


@dataclass(frozen=True)
class Decided:
    """
    A decision.

    :param by: As in :class:`~cis_provider.model.blockage.Answer`.
    """

    option: str
    text: str
    by: str

    def result(self, question: str, *, refused: bool) -> AgentResult:
        """The same as what an agent hands on: the choice and the words, as Markdown."""
        output = f"**{self.option}**" + (f"\n\n{self.text}" if self.text else "")
        settled = Settled(
            number=1,
            kind=BlockageKind.QUESTION,
            title=question,
            option=self.option,
            text=self.text,
            by=self.by,
            settled_at=time.time(),
        )
        return AgentResult(
            session_id="",
            is_error=refused,
            subtype="refused" if refused else "success",
            output=output + "\n",
            error=f"{self.by} chose {self.option!r}" if refused else "",
            num_turns=0,
            agent_type="human",
            answers=(settled,),
        )


def read_decision(response: Mapping[str, Any], *, free_text: bool) -> Decided:
    """What a filled-in form says, as Airflow has it."""
    chosen = list(response.get("chosen_options") or ())
    return Decided(
        option=str(chosen[0]) if chosen else "",
        text=words_of(response) if free_text else "",
        by=who(response),
    )
