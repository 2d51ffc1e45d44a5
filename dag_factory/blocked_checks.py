"""Keys about a blocked agent, and steps where a human decides: what fits a type, and what fits together."""

from __future__ import annotations

from typing import Any

from dag_factory.blocked_keys import CALL_NOBODY, HUMAN, INTERVENTIONS, BlockedKeys
from dag_factory.diagnostics import did_you_mean
from dag_factory.spec import HUMAN_KEYS, HUMAN_ONLY, AgentSpec
from dag_factory.view import AgentView, FileView


def check_blocked(file: FileView) -> None:
    """Add what is wrong with what is said about blockages, and about humans."""
    for agent in file.agents:
        whose = f'agent "{agent.id}": '
        if agent.id.partition(".")[0] == INTERVENTIONS:
            message = f'"{INTERVENTIONS}" is the group of the tasks that ask a human for the agents'
            file.add((*agent.path, "id"), "F106", message, "give it another id")
        if agent.type == HUMAN:
            _check_human(file, agent, whose)
        else:
            _check_others(file, agent, whose)
        _check_timeout(file, agent, whose)


def _check_human(file: FileView, agent: AgentView, whose: str) -> None:
    for key in agent.data.keys() & (AgentSpec.model_fields.keys() - HUMAN_KEYS):
        message = f'{whose}"{key}" makes no sense for a human: nothing runs, somebody is asked'
        hint = "write answer_timeout" if key == "timeout" else "remove it, or choose another type"
        file.add((*agent.path, key), "F112", message, hint, key=True)
    options = agent.data.get("options")
    seen: set[str] = set()
    for place, option in enumerate(options if isinstance(options, list | tuple) else ()):
        if not isinstance(option, str):
            continue
        if option.strip().lower() in seen:
            file.add((*agent.path, "options", place), "F103", f'{whose}option "{option}" is there twice')
        seen.add(option.strip().lower())


def _check_others(file: FileView, agent: AgentView, whose: str) -> None:
    for key in agent.data.keys() & HUMAN_ONLY:
        message = f'{whose}"{key}" is for steps of type human'
        hint = "put them into the prompt, or write type: human" if key == "options" else "remove it"
        file.add((*agent.path, key), "F112", message, hint, key=True)
    if agent.type in CALL_NOBODY and "on_blocked" not in agent.data:
        for key in agent.data.keys() & BlockedKeys.model_fields.keys():
            message = f'{whose}"{key}" makes no sense for a {agent.type} agent, which asks nobody'
            hint = "remove it, or say on_blocked: {} for one that may ask"
            file.add((*agent.path, key), "F112", message, hint, key=True)
    workspace = agent.workspace
    origin = workspace.get("from") if isinstance(workspace, dict) else None
    humans = [other.id for other in file.agents if other.type == HUMAN]
    if isinstance(origin, str) and origin in humans:
        others = [dep for dep in agent.deps if dep not in humans]
        path = (*agent.path, "workspace") if "workspace" in agent.data else ("defaults", "workspace")
        hint = did_you_mean(origin, others) or (f"such as {others[0]}" if others else "")
        file.add((*path, "from"), "F206", f'{whose}"{origin}" is a human and has no workspace', hint)


def _check_timeout(file: FileView, agent: AgentView, whose: str) -> None:
    after, own = _given(file, agent, "on_answer_timeout")
    if after is None:
        return
    path = (*agent.path, "on_answer_timeout") if own else ("defaults", "on_answer_timeout")
    if own and _given(file, agent, "answer_timeout")[0] is None:
        message = f'{whose}"on_answer_timeout" needs answer_timeout: after how long?'
        file.add(path, "F102", message, "such as answer_timeout: 4h", key=True)
    if after == "escalate" and not _given(file, agent, "escalate_to")[0]:
        message = f'{whose}"on_answer_timeout: escalate" needs escalate_to: to whom?'
        file.add(path, "F102", message, "such as escalate_to: [NAME]")


def _given(file: FileView, agent: AgentView, key: str) -> tuple[Any, bool]:
    """An agent's value or the file's default, and whether it is the agent's own."""
    defaults = file.data.get("defaults")
    if key in agent.data or not isinstance(defaults, dict):
        return agent.data.get(key), key in agent.data
    return defaults.get(key), False
