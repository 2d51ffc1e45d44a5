"""What a DAG wants of its tasks, or of its runs, in general is not meant for the tasks that ask humans."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from functools import cache
from typing import Any

from airflow.sdk import BaseOperator
from airflow.sdk.definitions.param import ParamsDict

#: What Airflow fills in by itself, or what does no harm.
_KEPT = frozenset(
    {
        "self",
        "task_id",
        "dag",
        "task_group",
        "params",
        "default_args",
        "kwargs",
        "start_date",
        "sla",
        "resources",
    }
)


def without_default_args(given: dict[str, Any]) -> dict[str, Any]:
    """
    Arguments for :class:`BaseOperator` that leave a DAG's ``default_args`` nothing to fill in.

    An ``execution_timeout`` from there would fail a run whose agent waits for a human; a ``pool`` would take the
    slot that the agent needs.

    :param given: What was said of this task itself, and ``params``: those of its DAG among them.
    """
    return {**_defaults(), **given, "params": _optional(given.get("params") or {})}


def _optional(params: Mapping[str, Any]) -> ParamsDict:
    """
    The same params, none of them required or checked.

    A triggerer that starts a task itself resolves the params without the values of the run, and one that has no
    default ends the whole triggerer, again at each start (``TriggerRunner.create_triggers`` in Airflow 3.3).
    """
    known = params if isinstance(params, ParamsDict) else ParamsDict(dict(params))
    return ParamsDict(known.dump())


@cache
def _defaults() -> dict[str, Any]:
    parameters = inspect.signature(BaseOperator.__init__).parameters.values()
    return {
        parameter.name: parameter.default
        for parameter in parameters
        if parameter.name not in _KEPT and parameter.default is not inspect.Parameter.empty
    }
