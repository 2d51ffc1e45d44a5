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
        from cis_provider.listeners.pools import pools_for_run

        pools_for_run(dag_run)
    except Exception:
        log.exception("the pools of run %s of %s could not be made", dag_run.run_id, dag_run.dag_id)
