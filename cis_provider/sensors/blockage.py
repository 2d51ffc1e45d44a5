"""``BlockageSensor``: done as soon as an agent is blocked."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import AirflowSkipException
from airflow.triggers.base import StartTriggerArgs

from cis_provider.model.blockage import BlockageKind
from cis_provider.sensors.apart import without_default_args

if TYPE_CHECKING:
    from airflow.sdk import Context


class BlockageSensor(BaseOperator):
    """
    Succeeds when its agent is blocked, with the blockage as its XCom; skipped when the agent ends without. For what
    a DAG wants to do then: page someone, open a ticket.

    Sleeps in the triggerer, at no worker and no slot. Start it beside its agent, not after it. A DAG's
    ``default_args`` do not reach it.

    :param agent: Id of the agent's task; of a mapped one, any part counts.
    :param kinds: Only blockages of these kinds, e.g. ``quota``; empty: any.
    """

    start_from_trigger = True
    ui_color = "#fff1e6"

    def __init__(self, *, agent: str, kinds: Collection[str] = (), **kwargs: Any) -> None:
        known = [str(kind) for kind in BlockageKind]
        if unknown := [kind for kind in kinds if kind not in known]:
            raise ValueError(f"kinds: {unknown[0]!r} is none of {', '.join(known)}")
        super().__init__(**without_default_args(kwargs))
        self.agent = agent
        self.kinds = [str(kind) for kind in kinds]
        self.start_trigger_args = StartTriggerArgs(
            trigger_cls="cis_provider.triggers.blockage.BlockageTrigger",
            trigger_kwargs={"agent": agent, "kinds": self.kinds},
            next_method="resume",
        )

    def execute(self, context: Context) -> None:
        """Only ``airflow dags test`` comes here: it knows no triggerer, and would wait for ever."""
        raise AirflowSkipException("nobody watches an agent in a test run")

    def resume(self, context: Context, event: Any = None) -> None:
        """Nothing to do: its trigger ends it."""
