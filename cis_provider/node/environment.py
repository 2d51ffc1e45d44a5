"""The environment of the node's own processes."""

from __future__ import annotations

from collections.abc import Mapping

#: Never inherited: settings and secrets of the Airflow process that happened to start the node, and the
#: mark of an agent that did, by which its processes would be found and ended.
_DROPPED_PREFIXES = ("AIRFLOW_", "_AIRFLOW_", "CIS_SESSION_", "CIS_OUTPUT", "CIS_INPUTS", "CIS_WORKSPACE")

#: Writing no bytecode makes every later start slower; it is for one-off containers.
_DROPPED = frozenset({"PYTHONDONTWRITEBYTECODE"})


def process_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """What the coordinator and its workers keep of the environment they were started in."""
    return {
        name: value
        for name, value in environment.items()
        if name not in _DROPPED and not name.startswith(_DROPPED_PREFIXES)
    }
