"""What happens when an agent is blocked, before a human is asked, and when nobody answers."""

from __future__ import annotations

from typing import Literal

import msgspec

AfterTimeout = Literal["remind", "escalate", "deny", "fail"]
"""Nobody answered in time: say it again, call others, answer no, or end the agent. Never: answer yes."""


class OnBlocked(msgspec.Struct, frozen=True, kw_only=True):
    """
    Rules of one agent. What they do not decide is a human's.

    :param permission: ``ask``, ``deny``, or ``allow``: what ``allow`` lists; the rest is asked.
    :param allow: Patterns of tool calls, as in ``permissions``: ``Bash(git *)``, ``Read``.
    :param question: ``ask``, or ``answer``: with ``answer``, whatever it asks.
    :param answer: The words that ``question: answer`` gives.
    :param trust: Whether the program may trust the folder, key or server it asks about.
    :param stalled: ``nudge``: interrupt the turn and ask it to go on, once per turn, then ask a human.
    :param budget: Whether a budget that is reached asks a human for as much again, or stops the agent.
    :param answer_timeout: Seconds until ``after_timeout`` happens; 0: a human has all the time there is.
    :param approvers: Names of the Airflow users who may answer in the UI; empty: whoever may see the DAG.
    :param escalate_to: Those who may, too, once it was escalated.
    """

    permission: Literal["ask", "deny", "allow"] = "ask"
    allow: tuple[str, ...] = ()
    question: Literal["ask", "answer"] = "ask"
    answer: str = ""
    trust: Literal["ask", "deny", "allow"] = "ask"
    login: Literal["ask", "fail"] = "ask"
    stalled: Literal["ask", "nudge", "fail"] = "ask"
    budget: Literal["ask", "stop"] = "stop"
    answer_timeout: float = 0.0
    after_timeout: AfterTimeout = "remind"
    approvers: tuple[str, ...] = ()
    escalate_to: tuple[str, ...] = ()
