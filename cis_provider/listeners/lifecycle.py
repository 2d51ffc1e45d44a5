"""
Airflow's listener hooks: pools for a run that starts, and the sweep beside a triggerer.

Every Airflow process imports this module, each task included: nothing heavy at the top.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from airflow.listeners import hookimpl

if TYPE_CHECKING:
    from airflow.models.dagrun import DagRun

log = logging.getLogger(__name__)


@hookimpl
def on_starting(component: Any) -> None:
    """
    An Airflow job begins in this process: tasks that fork from it find their modules loaded, and beside a
    triggerer, sessions are watched over.
    """
    if type(component).__name__ == "Job":
        from cis_provider.listeners.callbacks import spare_dag_processor
        from cis_provider.listeners.sweep import watch_over
        from cis_provider.listeners.warm import warm_up

        warm_up()
        spare_dag_processor()
        watch_over(component)


@hookimpl
def on_dag_run_running(dag_run: DagRun, msg: str) -> None:
    """
    In the scheduler, before the run's tasks are scheduled: the pools they name must be there.

    Never raises, and never leaves the scheduler's transaction broken.
    """
    try:
        pools = _pools_of(dag_run)
        if not pools:
            return
        from sqlalchemy.orm import object_session

        from cis_provider.pools import ensure_pools

        session = object_session(dag_run)
        if session is not None:
            ensure_pools(pools, session)
    except Exception:
        log.exception("the pools of run %s of %s could not be made", dag_run.run_id, dag_run.dag_id)


def _pools_of(dag_run: DagRun) -> list[Any]:
    from cis_provider.pools import PREFIX, dag_pool

    dag = dag_run.dag
    sizes: dict[str, int] = {}
    for task in dag.tasks if dag else ():
        if task.pool.startswith(PREFIX) and (size := _pool_size(task)):
            sizes[task.pool] = max(size, sizes.get(task.pool, 0))
    return [dag_pool(dag_run.dag_id, size)._replace(name=name) for name, size in sizes.items()]


def _pool_size(task: Any) -> int:
    given = getattr(task, "pool_size", None) or getattr(task, "partial_kwargs", {}).get("pool_size")
    return int(given or 0)
