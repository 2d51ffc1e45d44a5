"""
Whose scope an agent is in, and which rule says so; its pool. Pure: what files and settings say is handed in.

First match wins: ``scope:`` of the agent, then of the file; ``PROJECT_ID`` or ``USER_ID`` in ``env``, of any
agent that is still open; the DAG's id; the node's setting ``worker.scope_isolation``.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from cis_provider.errors import ConfigError
from cis_provider.model.scope import ScopeKind, TaskScope
from cis_provider.model.session import Exclusive
from cis_provider.pools import dag_pool_name, scope_pool_name
from dag_factory.document import Path

#: Variables that name a scope, the strongest first.
VARIABLES: dict[str, ScopeKind] = {"PROJECT_ID": "project", "USER_ID": "user"}

_ISOLATED: dict[str, ScopeKind] = {"project": "project", "dag_type": "type"}


@dataclass(frozen=True)
class ScopeRules:
    """
    What the node's settings say of scopes, read once for all files.

    :param isolation: ``worker.scope_isolation``.
    :param prefixes: Kinds and beginnings of DAG ids: ``("project", "proj-")``.
    :param suffixes: Ends of DAG ids that are no part of a scope's.
    :param slots: Agents at work at once in a scope.
    :param problem: Why the settings are of no use; empty: they are.
    """

    isolation: str
    prefixes: tuple[tuple[ScopeKind, str], ...]
    suffixes: tuple[str, ...]
    slots: int
    problem: str = ""


@dataclass(frozen=True)
class ScopeDecision:
    """
    :param scope: Text of a scope, or a template that gives one when the run starts.
    :param rule: What decided it, for people: ``env PROJECT_ID of agent build (line 12)``.
    """

    scope: str
    rule: str


@dataclass(frozen=True)
class Said:
    """
    A value in a file.

    :param where: Of whom it is, and its line, for people: ``agent build (line 12)``.
    :param path: Where it stands.
    """

    value: str
    where: str
    path: Path


@dataclass(frozen=True)
class Claims:
    """
    What a file says about the scope of one agent.

    :param env: Values of :data:`VARIABLES`, the agent's own or the file's.
    """

    agent: str
    scope: Said | None = None
    env: Mapping[str, Said] = field(default_factory=dict)


@dataclass(frozen=True)
class Mistake:
    """What is wrong, where, and the way out; see ``diagnostics``."""

    path: Path
    code: str
    message: str
    hint: str


def is_template(scope: str) -> bool:
    """Whether a scope is settled only when the run starts."""
    return "{{" in scope or "{%" in scope


def decide(
    agents: Sequence[Claims], *, dag_id: str, rules: ScopeRules, owner: Callable[[], str]
) -> tuple[dict[str, ScopeDecision], list[Mistake]]:
    """
    The scope of each agent, by its id, and what is wrong; an agent without a decision is in a mistake.

    :param owner: Name of the file's owner; asked only where it matters.
    """
    mistakes: list[Mistake] = []
    inferred: ScopeDecision | None = None
    if still_open := [agent for agent in agents if agent.scope is None]:
        try:
            inferred = (
                _by_env(still_open, mistakes) or _by_dag_id(dag_id, rules) or _isolated(dag_id, rules, owner)
            )
        except _Refused as refused:
            mistakes.append(refused.mistake)
    decisions = {agent.agent: _said(agent.scope) if agent.scope else inferred for agent in agents}
    return {agent: decision for agent, decision in decisions.items() if decision}, mistakes


def effective_exclusive(exclusive: Exclusive | None, scope: str) -> Exclusive:
    """How a run has its scope, when nothing or something was said."""
    return exclusive or ("no" if scope == "global" else "run")


def pool_of(
    scope: str, exclusive: Exclusive | None, rules: ScopeRules, *, dag_id: str, max_workers: int
) -> tuple[str, int]:
    """
    Name and slots of an agent's pool: the narrower one of its scope's and its DAG's.

    A scope that is settled later has no name yet, and the global one has no limit.
    """
    slots = 1 if exclusive == "agent" else rules.slots
    if scope == "global" or is_template(scope) or slots > max_workers:
        return dag_pool_name(dag_id), max_workers
    return scope_pool_name(TaskScope.parse(scope)), slots


class _Refused(Exception):
    def __init__(self, mistake: Mistake) -> None:
        self.mistake = mistake


def _by_env(agents: Sequence[Claims], mistakes: list[Mistake]) -> ScopeDecision | None:
    for variable, kind in VARIABLES.items():
        named = [(agent, agent.env[variable]) for agent in agents if variable in agent.env]
        if named:
            mistakes += _contradictions(variable, kind, named)
            said = named[0][1]
            scope = _scope(kind, said.value, said.path, f"env {variable} of {said.where}")
            return ScopeDecision(scope, f"env {variable} of {said.where}")
    return None


def _contradictions(
    variable: str, kind: ScopeKind, named: Sequence[tuple[Claims, Said]]
) -> Iterator[Mistake]:
    first, said = named[0]
    seen = {said.value}
    for other, differs in named[1:]:
        if differs.value in seen:
            continue
        seen.add(differs.value)
        yield Mistake(
            differs.path,
            "F208",
            f'agents "{first.agent}" and "{other.agent}" name two {kind}s, and nothing says their scopes: '
            f"{variable} is {said.value} in {said.where}, {differs.value} in {differs.where}",
            f'write scope: "{kind}:{said.value}" in "{first.agent}", scope: "{kind}:{differs.value}" in '
            f'"{other.agent}"',
        )


def _by_dag_id(dag_id: str, rules: ScopeRules) -> ScopeDecision | None:
    for kind, prefix in rules.prefixes:
        if dag_id.startswith(prefix):
            rest, less = _less_suffix(dag_id.removeprefix(prefix), rules)
            rule = f'DAG id {dag_id}, after "{prefix}"{less}'
            return ScopeDecision(_scope(kind, rest, ("name",), rule), rule)
    return None


def _isolated(dag_id: str, rules: ScopeRules, owner: Callable[[], str]) -> ScopeDecision:
    setting = f"worker.scope_isolation is {rules.isolation}"
    if rules.isolation == "user":
        rule = f"{setting}: the file's owner"
        return ScopeDecision(_scope("user", owner(), ("name",), rule), rule)
    if rules.isolation in _ISOLATED:
        rest, less = _less_suffix(dag_id, rules)
        rule = f"{setting}: DAG id {dag_id}{less}"
        return ScopeDecision(_scope(_ISOLATED[rules.isolation], rest, ("name",), rule), rule)
    return ScopeDecision("global", f"nothing names another, and {setting}")


def _less_suffix(name: str, rules: ScopeRules) -> tuple[str, str]:
    """A name without its last suffix, and words for that; a name that is nothing else stays."""
    ends = [suffix for suffix in rules.suffixes if name.endswith(suffix) and name != suffix]
    if not ends:
        return name, ""
    suffix = max(ends, key=len)
    return name.removesuffix(suffix), f', less "{suffix}"'


def _scope(kind: ScopeKind, scope_id: str, path: Path, rule: str) -> str:
    if is_template(scope_id):
        return f"{kind}:{scope_id}"
    try:
        return str(TaskScope(kind, scope_id))
    except ConfigError as error:
        message = f"{rule} gives no scope: {error}"
        raise _Refused(Mistake(path, "F111", message, "write scope: in the file")) from None


def _said(said: Said) -> ScopeDecision:
    """A scope that was said, in the one form it has; whether it is one is judged where it stands."""
    scope = said.value
    if scope != "global" and not is_template(scope):
        with contextlib.suppress(ConfigError):
            scope = str(TaskScope.parse(scope))
    return ScopeDecision(scope, f"scope: of {said.where}")
