"""
Imports what an agent's task needs before Airflow's components fork.

A LocalExecutor forks its workers when the scheduler starts, and they fork each task; the triggerer and the dag
processor fork, too. What is loaded in the parent is not loaded again by every one of them: it halves the CPU
time of a short agent's task.
"""

from __future__ import annotations

import logging
from importlib import import_module

log = logging.getLogger(__name__)

#: Modules that every agent's task loads, and with them all that they load.
NEEDED = (
    "airflow.dag_processing.bundles.local",
    "airflow.providers.sqlite.hooks.sqlite",
    "airflow.sdk.bases.hook",
    "airflow.sdk.execution_time.hitl",
    "cis_provider.collect",
    "cis_provider.context.store",
    "cis_provider.context.blockages",
    "cis_provider.operators.agent",
    "cis_provider.sensors.desk",
    "cis_provider.sensors.intervention",
    "dag_factory.builder",
    "dag_factory.loader",
    "encodings.utf_8_sig",
    "jinja2.ext",
)


def warm_up() -> None:
    """Import them. Never raises: without them a task imports for itself what it needs, and says what fails."""
    for name in NEEDED:
        try:
            import_module(name)
        except Exception as error:
            log.debug("not imported ahead of the tasks: %s", error)
