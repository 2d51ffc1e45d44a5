"""The scopes of a file: who is in which, on which node, and what contradicts itself."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from cis_provider.errors import ConfigError
from cis_provider.model.placeholders import malformed_in, substitute, unset_in
from cis_provider.model.scope import TaskScope
from dag_factory import templates, values
from dag_factory.blocked_keys import HUMAN
from dag_factory.diagnostics import Diagnostic
from dag_factory.document import Path
from dag_factory.placeholders import Lookup, unset
from dag_factory.scopes import VARIABLES, Claims, Said, ScopeDecision, ScopeRules, decide, is_template
from dag_factory.view import AgentView, FileView

#: What a template may not ask for: it is settled once, for the run, and these are of one agent.
_OF_ONE_AGENT = frozenset({"task", "ti", "task_instance", "task_instance_key_str", "outputs"})


@dataclass(frozen=True)
class Target:
    """
    Where a scope's worker is to be, by one agent's word.

    :param scope: Its text; no template, and not the global one.
    :param node: Empty: wherever Airflow's default queue leads.
    :param place: Line and column of that word.
    """

    scope: str
    node: str
    agent: str
    place: tuple[int, int]


@dataclass(frozen=True)
class FileScopes:
    """
    :param decisions: By the agent's id; whole only where the file has no mistakes.
    :param targets: One for each scope.
    """

    decisions: Mapping[str, ScopeDecision] = field(default_factory=dict)
    targets: tuple[Target, ...] = ()


def judge_scopes(
    file: FileView, *, rules: ScopeRules, lookup: Lookup, owner: Callable[[], str]
) -> FileScopes:
    """
    Decide the scopes; what is wrong is added to ``file``.

    :param lookup: Values of ``${NAME}`` in those variables that name a scope.
    :param owner: Name of the file's owner.
    """
    if rules.problem:
        file.add((), "F008", f"the node's settings cannot be used: {rules.problem}")
        return FileScopes()
    dag_id = file.data.get("name")
    claims = _Claims(file, lookup).all()
    if claims is None or not values.is_name(dag_id):
        return FileScopes()  # which is said elsewhere
    for said in _distinct(claims):
        _check_template(file, said)
    decisions, mistakes = decide(claims, dag_id=str(dag_id), rules=rules, owner=owner)
    for mistake in mistakes:
        file.add(mistake.path, mistake.code, mistake.message, mistake.hint)
    return FileScopes(decisions, tuple(_targets(file, decisions)))


def node_words(node: str) -> str:
    """A target node, for people."""
    return node or "Airflow's default queue"


class _Claims:
    """What the file says of each agent's scope."""

    def __init__(self, file: FileView, lookup: Lookup) -> None:
        self._file = file
        self._lookup = lookup
        defaults = file.data.get("defaults")
        self._defaults: dict[str, Any] = defaults if isinstance(defaults, dict) else {}
        self._settled: dict[Path, Said | None] = {}
        self._unknown = False

    def all(self) -> list[Claims] | None:
        """One for each agent; nothing when a variable that is needed has no value."""
        claims = []
        silent = not _speaks(self._file.data) and not _speaks(self._defaults)
        for agent in self._file.agents:
            if agent.type == HUMAN:
                continue  # works nowhere
            if silent and not _speaks(agent.data):
                claims.append(Claims(agent.id))
                continue
            layers = self._layers(agent)
            scope = self._scope(agent, layers)
            if not isinstance(scope, Said | None):
                continue  # of a wrong kind, which is said elsewhere
            env = (
                {} if scope else {name: said for name in VARIABLES if (said := self._variable(layers, name))}
            )
            claims.append(Claims(agent.id, scope, env))
        return None if self._unknown else claims

    def _layers(self, agent: AgentView) -> tuple[tuple[dict[str, Any], Path, str], ...]:
        """Where a value may stand, the strongest first; words for whose it is."""
        return (
            (agent.data, agent.path, f"agent {agent.id}"),
            (self._defaults, ("defaults",), "defaults"),
            (self._file.data, (), "the file"),
        )

    def _scope(self, agent: AgentView, layers: Iterable[tuple[dict[str, Any], Path, str]]) -> Any:
        for data, path, whose in layers:
            value = data.get("scope")
            if isinstance(value, str):
                return self._said(value, (*path, "scope"), whose)
            if value is not None:
                return value
        return None

    def _variable(self, layers: Iterable[tuple[dict[str, Any], Path, str]], name: str) -> Said | None:
        for data, path, whose in layers:
            env = data.get("env")
            if isinstance(env, dict) and isinstance(env.get(name), str):
                place = (*path, "env", name)
                if place not in self._settled:
                    self._settled[place] = self._settle(env[name], place, whose)
                return self._settled[place]
        return None

    def _settle(self, text: str, path: Path, whose: str) -> Said | None:
        """A variable's value; nothing where it is empty, or cannot be had."""
        if malformed_in(text):
            self._unknown = True  # which is said elsewhere
            return None
        if missing := unset_in(text, self._lookup):
            self._unknown = True
            self._file.found += unset(
                self._file.document, path, missing, f'{path[-1]} decides the scope; or write "scope:"'
            )
            return None
        value = substitute(text, self._lookup)
        return self._said(value, path, whose) if value else None

    def _said(self, value: str, path: Path, whose: str) -> Said:
        line = self._file.document.place(path)[0]
        return Said(value, f"{whose} (line {line})" if line else whose, path)


def _speaks(data: dict[str, Any]) -> bool:
    """Whether there can be a word on scopes in it: in most of a thousand files there is none."""
    return "scope" in data or "env" in data


def _distinct(claims: Iterable[Claims]) -> Iterable[Said]:
    said = [said for claim in claims for said in (claim.scope, *claim.env.values()) if said is not None]
    return {one.path: one for one in said}.values()


def _check_template(file: FileView, said: Said) -> None:
    if not is_template(said.value):
        return
    if said.path[-1] == "scope":  # variables are looked at beside all others
        for mistake in templates.template_mistakes(said.value, shell=False, deps=None):
            place = file.document.place(said.path)
            file.found.append(
                Diagnostic(file.document.file, *place, mistake.code, mistake.message, mistake.hint)
            )
    if bound := templates.names_in(said.value) & _OF_ONE_AGENT:
        message = f'"{min(bound)}" belongs to one agent, and a scope is settled once, for the whole run'
        file.add(said.path, "F111", message, "such as project:{{ params.project }}")


def _targets(file: FileView, decisions: Mapping[str, ScopeDecision]) -> Iterator[Target]:
    """Where each scope's worker is to be, and a mistake where two agents disagree."""
    first: dict[str, tuple[AgentView, str]] = {}
    wrong: set[tuple[str, str]] = set()
    for agent in file.agents:
        decision = decisions.get(agent.id)
        if decision is None or decision.scope == "global":
            continue
        scope = decision.scope
        node, path = _node(file, agent)
        if scope not in first:
            first[scope] = agent, node
            if _is_static(scope):
                yield Target(scope, node, agent.id, file.document.place(path))
        elif node != first[scope][1] and (scope, node) not in wrong:
            wrong.add((scope, node))
            other, its_node = first[scope]
            message = (
                f'agents "{other.id}" and "{agent.id}" are in one scope, {scope}, on two nodes: '
                f"{node_words(its_node)} and {node_words(node)}"
            )
            file.add(path, "F209", message, "a scope has one worker: give them one node:, or two scopes")


def _is_static(scope: str) -> bool:
    try:
        return not is_template(scope) and bool(TaskScope.parse(scope))
    except ConfigError:
        return False


def _node(file: FileView, agent: AgentView) -> tuple[str, Path]:
    """The agent's target node, and where that stands."""
    defaults = file.data.get("defaults")
    for data, path in (
        (agent.data, agent.path),
        (defaults if isinstance(defaults, dict) else {}, ("defaults",)),
        (file.data, ()),
    ):
        if isinstance(node := data.get("node"), str):
            return node, (*path, "node")
    return "", agent.path
