"""A plan as an Airflow DAG. Imports Airflow."""

from __future__ import annotations

import datetime
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

import pendulum
from airflow.sdk import BaseOperator, CronTriggerTimetable, Param, TaskGroup

from dag_factory.dag import CisDag
from dag_factory.params import split_param
from dag_factory.plan import DagPlan, TaskPlan

#: How long after its time a first scheduled run is still started. Airflow's own default is up to a tenth of
#: the interval: a daily DAG that is switched on two hours late would run at once. Not zero: each parse
#: computes the next run anew, and one between the due time and the scheduler's next look would lose it.
_FIRST_RUN_LATENESS = datetime.timedelta(minutes=1)

#: What Airflow says of the group of tasks that ask.
_ASLEEP = "Asleep; asks humans what the agents want to know"

#: Schedules that Airflow has classes of their own for.
_NO_CRON = (None, "@once", "@continuous")


def build_dag(plan: DagPlan, *, file: Path | None = None) -> CisDag:
    """
    Make the DAG.

    :param file: Its CIS file, which Airflow's Code tab then shows.
    """
    dag = CisDag(plan.dag_id, **_dag_arguments(plan))
    dag.cis_file = file
    groups = {
        name: TaskGroup(name, dag=dag, tooltip=_ASLEEP)
        for name in {task.group for task in plan.tasks}
        if name
    }
    tasks = {task.task_id: _task(task, dag, groups.get(task.group)) for task in plan.tasks}
    for task in plan.tasks:
        if task.upstream:
            tasks[task.task_id].set_upstream([tasks[upstream] for upstream in task.upstream])
    return dag


def _dag_arguments(plan: DagPlan) -> dict[str, Any]:
    arguments: dict[str, Any] = {
        **_configured(),
        "schedule": _schedule(plan),
        "catchup": plan.catchup,
        "tags": plan.tags,
    }
    # The pool is the limit; Airflow's own must not be a narrower one.
    arguments["max_active_tasks"] = max(arguments["max_active_tasks"], plan.max_workers)
    if plan.description:
        arguments["description"] = (
            plan.description.strip().splitlines()[0] if plan.description.strip() else None
        )
        # A text that ends with ".md" would be taken for the name of a file.
        arguments["doc_md"] = plan.description + "\n"
    if plan.start_date is not None:
        start = _in_zone(plan.start_date, plan.timezone)
        # With a start in the past, and no catchup, Airflow would run the last missed time at once.
        if plan.catchup or start > pendulum.now():
            arguments["start_date"] = start
    if plan.params:
        arguments["params"] = {name: _param(value) for name, value in plan.params.items()}
    if plan.max_active_runs is not None:
        arguments["max_active_runs"] = plan.max_active_runs
    elif plan.schedule == "@continuous":
        arguments["max_active_runs"] = 1
    return arguments


@cache
def _configured() -> dict[str, Any]:
    """Airflow's settings for every DAG. Without it a DAG reads them one by one, a tenth of its cost."""
    from airflow.sdk.configuration import conf

    return {
        "max_active_tasks": conf.getint("core", "max_active_tasks_per_dag"),
        "max_active_runs": conf.getint("core", "max_active_runs_per_dag"),
        "max_consecutive_failed_dag_runs": conf.getint("core", "max_consecutive_failed_dag_runs_per_dag"),
        "disable_bundle_versioning": conf.getboolean("dag_processor", "disable_bundle_versioning"),
    }


def _schedule(plan: DagPlan) -> Any:
    if plan.schedule in _NO_CRON:
        return plan.schedule
    zone = plan.timezone or _default_zone()
    return CronTriggerTimetable(plan.schedule, timezone=zone, run_immediately=_FIRST_RUN_LATENESS)


def _in_zone(moment: datetime.datetime, zone: str | None) -> datetime.datetime:
    # A text with an offset has its own.
    return pendulum.instance(moment, tz=zone or _default_zone())


def _default_zone() -> str:
    from airflow.settings import TIMEZONE

    return str(TIMEZONE.name)


def _param(value: Any) -> Param:
    default, has_default, description, schema = split_param(value)
    arguments: dict[str, Any] = {"default": default} if has_default else {}
    return Param(description=description, schema=schema, **arguments)


def _task(plan: TaskPlan, dag: CisDag, group: TaskGroup | None) -> BaseOperator:
    operator = _operator(plan.operator)
    arguments = dict(plan.arguments)
    if group is not None:
        arguments["task_group"] = group
    task: BaseOperator = operator(
        # The group puts its own id before it.
        task_id=plan.task_id.removeprefix(f"{plan.group}.") if group is not None else plan.task_id,
        dag=dag,
        trigger_rule=plan.trigger_rule,
        **arguments,
    )
    return task


@cache
def _operator(path: str) -> Any:
    module, _, name = path.rpartition(".")
    return getattr(import_module(module), name)
