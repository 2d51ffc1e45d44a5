"""
What one value cannot tell: the graph, references between agents, templates, schedules, params.

Every check takes the plain data of a file, in which any value may be of a wrong kind; it says nothing about
what the models refuse anyway.
"""

from __future__ import annotations

import itertools
import posixpath
from collections.abc import Callable
from typing import Any

from cis_provider.model.text import variable_name
from cis_provider.runtimes.registry import KNOWN_TYPES, known_types
from dag_factory import graph, params, templates, timing
from dag_factory.blocked_checks import check_blocked
from dag_factory.blocked_keys import HUMAN
from dag_factory.diagnostics import Diagnostic, did_you_mean
from dag_factory.document import Path
from dag_factory.option_checks import check_options
from dag_factory.placeholders import malformed
from dag_factory.view import AgentView, FileView

#: Task that makes a run failed in which an agent failed; see ``plan``. No agent may have its name.
RUN_OUTCOME = "run-outcome"

#: What ``type:`` may say without a look at installed packages.
_TYPES = (*KNOWN_TYPES, HUMAN)


def all_checks(file: FileView) -> None:
    """Add everything that is wrong with a file as a whole to what was found."""
    for check in _CHECKS:
        check(file)


def _check_types(file: FileView) -> None:
    defaults = file.data.get("defaults")
    if isinstance(defaults, dict) and isinstance(defaults.get("type"), str):
        _check_type(file, defaults["type"], ("defaults", "type"), "")
    for agent in file.agents:
        own = agent.data.get("type")
        if isinstance(own, str):
            _check_type(file, own, (*agent.path, "type"), f'agent "{agent.id}": ')
        elif not agent.type and "type" not in agent.data:
            hint = f"one of {', '.join(_TYPES)}"
            file.add(agent.path, "F102", f'agent "{agent.id}": "type" is missing', hint)


def _check_type(file: FileView, name: str, path: Path, whose: str) -> None:
    # The look at installed packages is slow; a name that is built in needs none.
    if not name or name in _TYPES:
        return
    known = [*known_types(), HUMAN]
    if name not in known:
        hint = did_you_mean(name, known) or f"there are {', '.join(known)}"
        file.add(path, "F107", f'{whose}unknown type "{name}"', hint)


def _check_ids(file: FileView) -> None:
    seen: dict[str, AgentView] = {}
    for agent in file.agents:
        if not agent.id:
            continue
        if agent.id in seen:
            line = file.document.place((*seen[agent.id].path, "id"))[0]
            where = f" on line {line}" if line else ""
            file.add((*agent.path, "id"), "F201", f'there is an agent "{agent.id}"{where} already')
        elif agent.id == RUN_OUTCOME:
            file.add(
                (*agent.path, "id"), "F106", f'"{RUN_OUTCOME}" is the name of the task that judges the run'
            )
        seen.setdefault(agent.id, agent)


def _check_deps(file: FileView) -> None:
    known = dict.fromkeys(agent.id for agent in file.agents if agent.id)
    for agent in file.agents:
        given = agent.data.get("deps")
        if not isinstance(given, list | tuple):
            continue
        seen: set[str] = set()
        for place, dep in enumerate(given):
            if not isinstance(dep, str):
                continue
            path = (*agent.path, "deps", place)
            if dep in seen:
                file.add(path, "F103", f'agent "{agent.id}": dependency "{dep}" is there twice')
            elif dep not in known:
                others = [name for name in known if name != agent.id]
                hint = did_you_mean(dep, others) or (f"there are {', '.join(others)}" if others else "")
                file.add(path, "F202", f'agent "{agent.id}": dependency "{dep}" does not exist', hint)
            seen.add(dep)
        if agent.data.get("when") == "failure" and not given:
            _no_deps(file, agent)
    for agent in file.agents:
        if agent.data.get("when") == "failure" and "deps" not in agent.data:
            _no_deps(file, agent)


def _no_deps(file: FileView, agent: AgentView) -> None:
    message = f'agent "{agent.id}": "when: failure" needs deps: it runs when one of them failed'
    file.add((*agent.path, "when"), "F206", message)


def _check_cycles(file: FileView) -> None:
    for cycle in graph.find_cycles(file.graph):
        agent = next(agent for agent in file.agents if agent.id == cycle[0])
        at = agent.deps.index(cycle[1])
        file.add((*agent.path, "deps", at), "F203", f"dependencies form a cycle: {' -> '.join(cycle)}")


def _check_references(file: FileView) -> None:
    users = [
        agent for agent in file.agents if isinstance(agent.workspace, dict) and "from" in agent.workspace
    ]
    if not users:
        return
    try:
        before = graph.ancestors(file.graph)
    except ValueError:
        return  # the cycle is reported
    for agent in users:
        origin = agent.workspace["from"]
        if not isinstance(origin, str) or agent.id not in before or origin in before[agent.id]:
            continue
        path = (
            (*agent.path, "workspace", "from")
            if "workspace" in agent.data
            else ("defaults", "workspace", "from")
        )
        hint = (
            did_you_mean(origin, before[agent.id]) if origin not in before else f"add it to deps: [{origin}]"
        )
        file.add(path, "F206", f'agent "{agent.id}": "{origin}" does not run before it', hint)


def _check_folders(file: FileView) -> None:
    by_folder: dict[tuple[str, Any], list[AgentView]] = {}
    for agent in file.agents:
        if folder := _own_folder(agent.workspace):
            # A relative folder is another one in another scope; only an agent's own key is looked at here.
            scope = None if posixpath.isabs(folder) else agent.data.get("scope")
            by_folder.setdefault((folder, str(scope)), []).append(agent)
    crowded = {folder: agents for (folder, _), agents in by_folder.items() if len(agents) > 1}
    if not crowded:
        return
    try:
        before = graph.ancestors(file.graph)
    except ValueError:
        return  # the cycle is reported
    for folder, agents in crowded.items():
        for first, second in itertools.combinations(agents, 2):
            if {first.id, second.id} <= before.keys() and not (
                first.id in before[second.id] or second.id in before[first.id] or first.id == second.id
            ):
                path = (
                    (*second.path, "workspace") if "workspace" in second.data else ("defaults", "workspace")
                )
                message = f'agents "{first.id}" and "{second.id}" may be in one folder at a time: {folder}'
                shared = f"{{path: {folder}, shared: true}}"
                hint = f"give each its own, put one into the other's deps, or write {shared} in both"
                file.add(path, "F204", message, hint)


def _own_folder(workspace: Any) -> str:
    """The folder that an agent wants for itself, in a form that can be compared; empty for none."""
    if isinstance(workspace, dict):
        if workspace.get("shared") in (True, "true"):
            return ""
        workspace = workspace.get("path")
    if not isinstance(workspace, str) or not workspace:
        return ""
    if templates.has_template(workspace) and templates.names_in(workspace) & {"task", "ti", "task_instance"}:
        return ""  # another one for each agent, most likely
    return posixpath.normpath(workspace)


def _check_output_variables(file: FileView) -> None:
    for agent in file.agents:
        if agent.type != "shell":
            continue
        seen: dict[str, str] = {}
        for place, dep in enumerate(agent.deps):
            variable = f"CIS_OUTPUT_{variable_name(dep)}"
            other = seen.setdefault(variable, dep)
            if other != dep:
                message = (
                    f'agent "{agent.id}": the outputs of "{other}" and "{dep}" would both be in {variable}'
                )
                file.add((*agent.path, "deps", place), "F205", message, "give one of them another id")


def _check_templates(file: FileView) -> None:
    known = {agent.id for agent in file.agents}
    for agent in file.agents:
        shell = agent.type == "shell"
        # A dependency that does not exist is reported by itself.
        deps = [dep for dep in agent.deps if dep in known]
        prompt, human = agent.data.get("prompt"), agent.type == HUMAN
        _check_text(file, agent, (*agent.path, "prompt"), prompt, deps=deps, bash=shell, settled=human)
        for key in ("system_prompt", "check"):
            text, script = agent.data.get(key), key == "check"
            _check_text(file, agent, (*agent.path, key), text, deps=deps, bash=script, settled=True)
        _check_env(file, agent.data.get("env"), (*agent.path, "env"), agent, deps)
        workspace = agent.data.get("workspace")
        if isinstance(workspace, str):
            _check_text(file, agent, (*agent.path, "workspace"), workspace, deps=deps, settled=True)
        elif isinstance(workspace, dict):
            for key, value in workspace.items():
                _check_text(file, agent, (*agent.path, "workspace", key), value, deps=deps, settled=True)
    _check_env(file, file.data.get("env"), ("env",), None, None)
    defaults = file.data.get("defaults")
    if isinstance(defaults, dict):
        _check_env(file, defaults.get("env"), ("defaults", "env"), None, None)


def _check_env(file: FileView, env: Any, path: Path, agent: AgentView | None, deps: list[str] | None) -> None:
    if isinstance(env, dict):
        for name, value in env.items():
            _check_text(file, agent, (*path, name), value, deps=deps)


def _check_text(
    file: FileView,
    agent: AgentView | None,
    path: Path,
    text: Any,
    *,
    deps: list[str] | None,
    bash: bool = False,
    settled: bool = False,
) -> None:
    """
    :param bash: It is a script, in which ``${`` is bash's own.
    :param settled: Its placeholders are gone: it was read at load.
    """
    if not isinstance(text, str):
        return
    if not bash and not settled and "${" in text:
        file.found += malformed(file.document, path, text)
    if not templates.has_template(text):
        return
    whose = f'agent "{agent.id}": ' if agent else ""
    shell = bash or (agent is not None and agent.type == "shell")
    lines = text.split("\n")
    for mistake in templates.template_mistakes(text, shell=shell, deps=deps):
        offset = sum(len(line) + 1 for line in lines[: mistake.line])
        place = file.document.place_in_text(path, offset)
        file.found.append(
            Diagnostic(file.document.file, *place, mistake.code, whose + mistake.message, mistake.hint)
        )


def _check_timing(file: FileView) -> None:
    data = file.data
    schedule, zone, start = data.get("schedule"), data.get("timezone"), data.get("start_date")
    if isinstance(schedule, str) and (mistake := timing.schedule_mistake(schedule)):
        file.add(("schedule",), "F105", *mistake)
    if isinstance(zone, str) and (mistake := timing.timezone_mistake(zone)):
        file.add(("timezone",), "F108", *mistake)
    if isinstance(start, str):
        try:
            timing.parse_start_date(start)
        except ValueError as error:
            file.add(("start_date",), "F108", str(error))
    if data.get("catchup") in (True, "true") and schedule is not None and start is None:
        file.add(("catchup",), "F102", '"catchup" needs "start_date": since when?', key=True)
    runs = data.get("max_active_runs")
    if schedule == "@continuous" and runs not in (None, 1, "1"):
        file.add(("max_active_runs",), "F103", '"@continuous" allows one run at a time', "max_active_runs: 1")


def _check_params(file: FileView) -> None:
    given = file.data.get("params")
    if not isinstance(given, dict):
        return
    for name, value in given.items():
        if mistake := params.param_mistake(value, scheduled=file.data.get("schedule") is not None):
            path, message, hint = mistake
            file.add(("params", name, *path), "F109", f'param "{name}": {message}', hint)


_CHECKS: tuple[Callable[[FileView], None], ...] = (
    _check_types,
    _check_ids,
    _check_deps,
    _check_cycles,
    _check_references,
    _check_folders,
    _check_output_variables,
    _check_templates,
    _check_timing,
    _check_params,
    check_options,
    check_blocked,
)
