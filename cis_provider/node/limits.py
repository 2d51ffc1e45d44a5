"""How many may be at work, as the settings and Airflow's pools say now."""

from __future__ import annotations

import logging
from dataclasses import replace

from cis_provider import settings
from cis_provider.errors import ConfigError
from cis_provider.node.admission import Limits

log = logging.getLogger(__name__)


class NodeLimits:
    """The limits of a node. A setting that cannot be read leaves them as they were."""

    def __init__(self) -> None:
        self._last = Limits(node=16, scope=4)
        self._complained = ""

    def set_pools(self, scopes: dict[str, int], dags: dict[str, int]) -> bool:
        """Slots of the pools of scopes and DAGs in Airflow; whether that is news."""
        news = (scopes, dags) != (self._last.scopes, self._last.dags)
        self._last = replace(self._last, scopes=scopes, dags=dags)
        return news

    def read(self) -> Limits:
        """What holds now."""
        try:
            self._last = replace(
                self._last,
                node=settings.integer("dag.local.max_workers"),
                scope=settings.integer("worker.max_concurrent_tasks"),
                runtimes=settings.limits("limits.runtime"),
                accounts=settings.limits("limits.account"),
            )
            self._complained = ""
        except ConfigError as error:
            if str(error) != self._complained:
                log.error("%s; the limits stay as they were", error)
                self._complained = str(error)
        return self._last
