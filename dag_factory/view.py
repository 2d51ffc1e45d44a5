"""A file's agents as the checks see them: plain data, of which any value may be of a wrong kind."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from dag_factory.diagnostics import Diagnostic
from dag_factory.document import Document, Path


@dataclass(frozen=True)
class AgentView:
    """What the checks need to know of one agent; empty where the file says something else."""

    index: int
    path: Path
    id: str
    type: str
    deps: list[str]
    data: dict[str, Any]
    #: Where its workspace is written down, which may be under ``defaults``.
    workspace: Any = None


@dataclass
class FileView:
    """
    A file under judgement, and what was found.

    :param data: Plain data with one name for each key and placeholders settled.
    """

    document: Document
    data: dict[str, Any]
    agents: list[AgentView]
    found: list[Diagnostic] = field(default_factory=list)

    def add(self, path: Path, code: str, message: str, hint: str = "", *, key: bool = False) -> None:
        """Note a mistake in the value at ``path``, or in its key."""
        place = self.document.place(path, key=key)
        self.found.append(Diagnostic(self.document.file, *place, code, message, hint))

    @property
    def graph(self) -> dict[str, list[str]]:
        """The agents' dependencies, without those that lead nowhere; the first of two with one id."""
        known: dict[str, list[str]] = {}
        for agent in self.agents:
            if agent.id:
                known.setdefault(agent.id, agent.deps)
        return {name: [dep for dep in deps if dep in known] for name, deps in known.items()}


def agents_in(data: dict[str, Any]) -> list[AgentView]:
    """The agents of a file, as far as they are mappings."""
    defaults = data.get("defaults")
    defaults = defaults if isinstance(defaults, dict) else {}
    found = []
    for index, agent in enumerate(data["agents"] if isinstance(data.get("agents"), list) else []):
        if not isinstance(agent, dict):
            continue
        agent_id, kind, deps = agent.get("id"), agent.get("type", defaults.get("type")), agent.get("deps")
        found.append(
            AgentView(
                index=index,
                path=("agents", index),
                id=agent_id if isinstance(agent_id, str) else "",
                type=kind if isinstance(kind, str) else "",
                deps=[dep for dep in deps if isinstance(dep, str)] if isinstance(deps, list | tuple) else [],
                data=agent,
                workspace=agent.get("workspace", defaults.get("workspace")),
            )
        )
    return found
