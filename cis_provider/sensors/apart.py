"""What a DAG wants of its tasks in general is not meant for the tasks that ask humans."""

from __future__ import annotations

import inspect
from functools import cache
from typing import Any

from airflow.sdk import BaseOperator

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

    :param given: What was said of this task itself.
    """
    return {**_defaults(), **given}


@cache
def _defaults() -> dict[str, Any]:
    parameters = inspect.signature(BaseOperator.__init__).parameters.values()
    return {
        parameter.name: parameter.default
        for parameter in parameters
        if parameter.name not in _KEPT and parameter.default is not inspect.Parameter.empty
    }
