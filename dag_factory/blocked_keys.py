"""Keys of an agent that say what happens when it is blocked, and of a step where a human decides."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, Discriminator, Field, Tag
from pydantic_core import PydanticCustomError

from dag_factory.kinds import Duration, Model

#: Group of the tasks that ask humans for the agents. The same for DAGs made in Python.
INTERVENTIONS = "interventions"

#: The type of an agent that is a person.
HUMAN = "human"

#: Types of agents that call nobody, unless they say ``on_blocked:``.
CALL_NOBODY = frozenset({"shell", "skill", "matrix"})

Text = Annotated[str, Field(min_length=1)]
Names = Annotated[tuple[Text, ...], Field()]

_YES = frozenset({"allow", "approve", "accept", "yes", "continue"})


def _form(value: Any) -> str | None:
    return "text" if isinstance(value, str) else "mapping" if isinstance(value, dict | BaseModel) else None


def _never_yes(value: Any) -> Any:
    if isinstance(value, str) and value.lower() in _YES:
        raise PydanticCustomError("F103", "never approves: who does not answer has agreed to nothing")
    return value


class AllowRule(Model):
    """Tool calls that are allowed without a question; the rest is asked."""

    allow: tuple[Text, ...] = Field(
        min_length=1, description="Patterns, as in `permissions`: Bash(git *), Read"
    )


class AnswerRule(Model):
    """What is answered, whatever it asks."""

    answer: str = Field(min_length=1, description="The words that it is given")


PermissionRule = Annotated[
    Annotated[Literal["ask", "deny"], Tag("text")] | Annotated[AllowRule, Tag("mapping")],
    Discriminator(
        _form, custom_error_type="F103", custom_error_message="must be ask, deny or {allow: [PATTERN, ...]}"
    ),
]
QuestionRule = Annotated[
    Annotated[Literal["ask"], Tag("text")] | Annotated[AnswerRule, Tag("mapping")],
    Discriminator(_form, custom_error_type="F103", custom_error_message="must be ask or {answer: TEXT}"),
]
AfterTimeout = Annotated[Literal["remind", "escalate", "deny", "fail"], BeforeValidator(_never_yes)]


class OnBlockedKeys(Model):
    """What is decided without a human, by what the agent waits for. `ask` calls one."""

    permission: PermissionRule = Field("ask", description="It asks to use a tool")
    question: QuestionRule = Field("ask", description="It asks something")
    trust: Literal["ask", "deny", "allow"] = Field(
        "ask", description="Its program asks whether a folder, key or server is to be trusted"
    )
    login: Literal["ask", "fail"] = Field("ask", description="Its credentials are missing or refused")
    stalled: Literal["ask", "nudge", "fail"] = Field(
        "ask",
        description="No sign of life; nudge: its turn is interrupted and it is told to go on, once, "
        "then a human is asked",
    )
    rate_limit: Literal["wait"] = Field("wait", description="It waits for the limit's end, without a human")
    quota: Literal["wait"] = Field("wait", description="The same")


class BlockedKeys(Model):
    """When a human is needed: who may answer, and what if nobody does."""

    on_blocked: OnBlockedKeys | None = Field(
        None, description="Rules that answer for a human; by default every blockage asks one"
    )
    on_budget: Literal["ask", "stop"] = Field(
        "stop", description="At the end of its budget; ask: whether it gets as much again"
    )
    answer_timeout: Duration | None = Field(
        None, description="How long a human has for an answer; by default as long as it takes"
    )
    on_answer_timeout: AfterTimeout = Field(
        "remind", description="After that; deny: the answer is no. Never yes"
    )
    approvers: Names = Field(
        (),
        description="Airflow users who may answer its questions; by default whoever may edit the DAG's runs",
    )
    escalate_to: Names = Field((), description="Airflow users who may, too, once `escalate` has happened")


def plain_on_blocked(keys: BlockedKeys) -> Mapping[str, Any]:
    """The keys as plain JSON of :class:`~cis_provider.model.on_blocked.OnBlocked`; only what is given."""
    given: dict[str, Any] = {}
    if keys.on_blocked is not None:
        for name in ("trust", "login", "stalled"):
            given[name] = getattr(keys.on_blocked, name)
        permission, question = keys.on_blocked.permission, keys.on_blocked.question
        given["permission"] = "allow" if isinstance(permission, AllowRule) else permission
        given["question"] = "answer" if isinstance(question, AnswerRule) else question
        given = {name: value for name, value in given.items() if value != "ask"}
        if isinstance(permission, AllowRule):
            given["allow"] = list(permission.allow)
        if isinstance(question, AnswerRule):
            given["answer"] = question.answer
    if keys.on_budget != "stop":
        given["budget"] = keys.on_budget
    for name, value in asking(keys).items():
        given[name] = list(value) if isinstance(value, tuple) else value
    return given


def asking(keys: BlockedKeys) -> dict[str, Any]:
    """What a sensor must know that asks: who may answer, and what if nobody does; only what is given."""
    given: dict[str, Any] = {}
    if keys.approvers:
        given["approvers"] = keys.approvers
    if keys.escalate_to:
        given["escalate_to"] = keys.escalate_to
    if keys.answer_timeout is not None:
        given["answer_timeout"] = keys.answer_timeout
        given["after_timeout"] = keys.on_answer_timeout
    return given
