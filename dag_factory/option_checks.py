"""Keys that say how a program is driven: what fits an agent's type, and what contradicts something else."""

from __future__ import annotations

from typing import Any

from cis_provider.model.option_texts import texts_in
from cis_provider.runtimes.registry import KNOWN_TYPES, config_mistakes, known_types
from dag_factory.blocked_keys import HUMAN
from dag_factory.diagnostics import did_you_mean
from dag_factory.document import Path
from dag_factory.option_keys import SHELL_TOO, OptionKeys
from dag_factory.placeholders import malformed
from dag_factory.view import AgentView, FileView

#: Types that run whatever program they are told.
_NEED_PROGRAM = ("acp", "terminal")
_NOT_FOR_SHELL = frozenset(OptionKeys.model_fields) - SHELL_TOO


def check_options(file: FileView) -> None:
    """Add what is wrong with the options of a file's agents."""
    for agent in file.agents:
        whose = f'agent "{agent.id}": '
        if agent.type == "shell":
            for key in agent.data.keys() & _NOT_FOR_SHELL:
                message = f'{whose}"{key}" makes no sense for a shell agent: it runs a script, no program'
                file.add((*agent.path, key), "F112", message, "remove it, or choose another type", key=True)
            continue
        if agent.type == HUMAN:
            continue  # has none of these keys, which is said elsewhere
        if agent.type in _NEED_PROGRAM and _given(file, agent, "program")[1] is None:
            message = f'{whose}"program" is missing: type {agent.type} runs the program that it names'
            file.add(agent.path, "F102", message, "such as program: [my-agent, --acp]")
        _check_fallback(file, agent, whose)
        _check_session(file, agent, whose)
        _check_config(file, agent, whose)
    defaults = file.data.get("defaults")
    holders = [(agent.path, agent.data) for agent in file.agents]
    for path, data in [*holders, *([(("defaults",), defaults)] if isinstance(defaults, dict) else [])]:
        for where, text in texts_in(data):
            file.found += malformed(file.document, (*path, *where), text)


def _check_fallback(file: FileView, agent: AgentView, whose: str) -> None:
    path, given = _given(file, agent, "fallback")
    seen: set[str] = set()
    for place, name in enumerate(given if isinstance(given, list | tuple) else ()):
        if not isinstance(name, str) or not name:
            continue
        at = (*path, place)
        if name == agent.type:
            file.add(at, "F103", f'{whose}"fallback" names {name}, which is the agent\'s own type')
        elif name in seen:
            file.add(at, "F103", f'{whose}"fallback" names {name} twice')
        elif name == "shell":
            file.add(at, "F103", f"{whose}a shell cannot take over an agent's conversation")
        elif name in _NEED_PROGRAM:
            file.add(at, "F103", f'{whose}{name} cannot take over: "program" would be the wrong one for it')
        elif name not in KNOWN_TYPES and name not in (known := known_types()):
            hint = did_you_mean(name, known) or f"there are {', '.join(known)}"
            file.add(at, "F107", f'{whose}unknown type "{name}" in "fallback"', hint)
        seen.add(name)


def _check_session(file: FileView, agent: AgentView, whose: str) -> None:
    path, given = _given(file, agent, "session")
    origin = given.get("from") if isinstance(given, dict) else None
    if not isinstance(origin, str):
        return
    if origin in [other.id for other in file.agents if other.type == HUMAN]:
        message = f'{whose}"session: from" names "{origin}", a human, who has no conversation to go on with'
        file.add((*path, "from"), "F206", message)
        return
    if origin in agent.deps:
        return
    known = [other.id for other in file.agents if other.id and other.id != agent.id]
    hint = f"add it to deps: [{origin}]" if origin in known else did_you_mean(origin, known)
    file.add(
        (*path, "from"), "F206", f'{whose}"session: from" names "{origin}", which is not in its deps', hint
    )


def _check_config(file: FileView, agent: AgentView, whose: str) -> None:
    path, config = _given(file, agent, "config")
    # Defaults are for whom they fit; they are judged where an agent says its type there, too.
    if not isinstance(config, dict) or not config or not agent.type:
        return
    for where, message, hint in config_mistakes(agent.type, config):
        unknown = message.startswith("unknown key")
        file.add((*path, *where), "F113", f"{whose}config: {message}", hint, key=unknown)


def _given(file: FileView, agent: AgentView, key: str) -> tuple[Path, Any]:
    """An agent's value, or the file's default, and where it stands."""
    defaults = file.data.get("defaults")
    if key not in agent.data and isinstance(defaults, dict) and key in defaults:
        return ("defaults", key), defaults[key]
    return (*agent.path, key), agent.data.get(key)
