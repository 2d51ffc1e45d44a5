"""
Whether a triggerer has places for all of a DAG: a deferred task takes one, and so does the task that asks for
an agent. Places are given to whoever comes first and kept: with too few, a run can stand still.
"""

from __future__ import annotations

import configparser
import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from cis_provider import paths
from dag_factory import graph
from dag_factory.spec import DagSpec

#: Airflow's own default of ``[triggerer] capacity``.
DEFAULT = 1000

_SECTION, _NAMES = "triggerer", ("capacity", "default_capacity")


def configured(environ: Mapping[str, str] | None = None) -> tuple[int, str]:
    """
    Places of one triggerer, and where that was read: Airflow's environment or file, as far as it is here.

    :param environ: Default: the process's own.
    """
    env = os.environ if environ is None else environ
    for name in _NAMES:
        variable = f"AIRFLOW__{_SECTION}__{name}".upper()
        if (text := env.get(variable, "")).strip().isdigit():
            return int(text), f"${variable}"
    for file in _files(env):
        for name in _NAMES:
            if (text := _value(file, name)).isdigit():
                return int(text), str(file)
    return DEFAULT, "default"


def shortage(agents: graph.Graph, places: int) -> int:
    """
    Places that a run can want at once, twice the agents that can be ready at once; 0: there are so many.

    :param agents: What each one waits for.
    """
    if 2 * len(agents) <= places:
        return 0
    wanted = 2 * graph.width(agents)
    return wanted if wanted > places else 0


def graph_of(spec: DagSpec) -> graph.Graph:
    """The agents of a file, and what each waits for."""
    return {agent.id: agent.deps for agent in spec.agents}


def words(wanted: int, places: int) -> str:
    """That there are too few."""
    return (
        f"a run can have {wanted} tasks in the triggerer at once, agents and the tasks that ask for them, "
        f"and one triggerer has {places} places: it may stand still"
    )


def remedy(wanted: int) -> str:
    """The way out."""
    return f"set [triggerer] capacity to {wanted} or more, or start more triggerers"


def _files(env: Mapping[str, str]) -> Iterable[Path]:
    if config := env.get("AIRFLOW_CONFIG"):
        yield Path(config)
    elif home := env.get("AIRFLOW_HOME"):
        yield Path(home) / "airflow.cfg"
    else:
        yield paths.airflow_dir() / "airflow.cfg"


def _value(file: Path, name: str) -> str:
    parser = configparser.ConfigParser(interpolation=None, strict=False)
    try:
        parser.read(file)
    except (configparser.Error, OSError, UnicodeDecodeError):
        return ""
    return parser.get(_SECTION, name, fallback="").strip()
