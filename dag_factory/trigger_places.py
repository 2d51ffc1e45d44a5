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


def wanted(spec: DagSpec) -> int:
    """Twice the tasks of a run that can be ready at once: each agent, and the task that asks for it."""
    return 2 * graph.width({agent.id: agent.deps for agent in spec.agents})


def shortage(spec: DagSpec, places: int) -> str:
    """That a triggerer has too few places for a run, in words; empty: it has enough."""
    if 2 * len(spec.agents) <= places or (needed := wanted(spec)) <= places:
        return ""
    return (
        f"a run can have {needed} tasks in the triggerer at once, agents and the tasks that ask for them, "
        f"and one triggerer has {places} places: it may stand still"
    )


def remedy(specs: Iterable[DagSpec]) -> str:
    """The way out for these."""
    return f"set [triggerer] capacity to {max(map(wanted, specs))} or more, or start more triggerers"


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
