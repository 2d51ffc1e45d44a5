"""
Jinja in prompts, variables and workspaces, as far as it can be judged before a run.

Names are not judged: Airflow fills in the context when the agent runs, where an unknown one is an error.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from cis_provider.model.text import variable_name
from dag_factory.diagnostics import did_you_mean

if TYPE_CHECKING:
    from jinja2 import Environment, nodes

#: Filters that Airflow adds to Jinja's own.
_AIRFLOW_FILTERS = ("ds", "ds_nodash", "ts", "ts_nodash", "ts_nodash_with_tz")

#: In bash `${#name}` is a length, so a shell agent's command has no Jinja comments.
SHELL_COMMENT = ("{#\0", "\0#}")


@dataclass(frozen=True)
class TemplateMistake:
    """``line`` counts from 0, within the text."""

    code: str
    line: int
    message: str
    hint: str = ""


def has_template(text: str) -> bool:
    """Whether Jinja would do anything with a text."""
    return "{{" in text or "{%" in text or "{#" in text


def template_mistakes(text: str, *, shell: bool, deps: Collection[str] | None) -> list[TemplateMistake]:
    """
    Everything wrong with one text.

    :param shell: It is a shell agent's, which gets outputs as variables and files.
    :param deps: Agents whose outputs can be had; ``None``: do not judge that.
    """
    if not has_template(text):
        return []
    from jinja2 import TemplateSyntaxError

    try:
        tree = _environment(shell).parse(text)
    except TemplateSyntaxError as error:
        return [
            TemplateMistake(
                "F301", (error.lineno or 1) - 1, f"Jinja: {error.message}", _syntax_hint(text, shell)
            )
        ]
    # Walking a tree costs more than parsing it.
    mistakes = list(_unknown_filters(tree, shell)) if "|" in text or " is " in text else []
    if "outputs" in text:
        if shell:
            mistakes += _pasted_outputs(tree)
        elif deps is not None:
            mistakes += _missing_outputs(tree, deps)
    return mistakes


def names_in(text: str) -> set[str]:
    """The names that a template asks its context for; none where it cannot be read."""
    from jinja2 import TemplateSyntaxError, meta

    try:
        return meta.find_undeclared_variables(_environment(False).parse(text))
    except TemplateSyntaxError:
        return set()


@lru_cache(maxsize=2)
def _environment(shell: bool) -> Environment:
    from jinja2.sandbox import SandboxedEnvironment

    # As Airflow makes it; `cache_size` is for templates, of which none is made here.
    start, end = SHELL_COMMENT if shell else ("{#", "#}")
    return SandboxedEnvironment(
        extensions=["jinja2.ext.do"], cache_size=0, comment_start_string=start, comment_end_string=end
    )


def _syntax_hint(text: str, shell: bool) -> str:
    if shell and "{%" in text:
        return "for a plain {% write {{ '{%' }}"
    return "for a plain {{ write {{ '{{' }}" if "{{" in text else ""


def _unknown_filters(tree: nodes.Template, shell: bool) -> Iterator[TemplateMistake]:
    from jinja2 import nodes

    environment = _environment(shell)
    filters = {*environment.filters, *_AIRFLOW_FILTERS}
    for kind, known, what in (
        (nodes.Filter, filters, "filter"),
        (nodes.Test, set(environment.tests), "test"),
    ):
        for node in tree.find_all(kind):
            if node.name not in known:
                hint = did_you_mean(node.name, known)
                yield TemplateMistake("F304", node.lineno - 1, f'Jinja: unknown {what} "{node.name}"', hint)


def _output_uses(tree: nodes.Template) -> Iterator[tuple[int, str | None]]:
    """Line and agent of each use of ``outputs``; ``None`` where the agent is not a fixed text."""
    from jinja2 import nodes

    named = set()
    for use in tree.find_all((nodes.Getitem, nodes.Getattr)):
        assert isinstance(use, nodes.Getitem | nodes.Getattr)
        if not (isinstance(use.node, nodes.Name) and use.node.name == "outputs"):
            continue
        named.add(id(use.node))
        if isinstance(use, nodes.Getattr):
            # outputs.items() and the like are methods of a mapping, not agents.
            yield use.lineno, None if hasattr(dict, use.attr) else use.attr
        else:
            fixed = isinstance(use.arg, nodes.Const) and isinstance(use.arg.value, str)
            yield use.lineno, use.arg.value if fixed and isinstance(use.arg, nodes.Const) else None
    for name in tree.find_all(nodes.Name):
        if name.name == "outputs" and name.ctx == "load" and id(name) not in named:
            yield name.lineno, None


def _pasted_outputs(tree: nodes.Template) -> Iterator[TemplateMistake]:
    for line, agent in _output_uses(tree):
        variable = f"CIS_OUTPUT_{variable_name(agent)}" if agent else "CIS_OUTPUT_<ID>"
        yield TemplateMistake(
            "F302",
            line - 1,
            'a shell agent has no "outputs": bash would run what is pasted into a command',
            f'write "${variable}", or read the file "$CIS_INPUTS/{agent or "<id>"}.md"',
        )


def _missing_outputs(tree: nodes.Template, deps: Collection[str]) -> Iterator[TemplateMistake]:
    for line, agent in _output_uses(tree):
        if agent is not None and agent not in deps:
            hint = did_you_mean(agent, deps) or f"add it to deps: [{', '.join([*deps, agent])}]"
            message = f'outputs["{agent}"]: "{agent}" is no dependency of this agent'
            yield TemplateMistake("F303", line - 1, message, hint)
