"""The task that makes a run failed."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from airflow.sdk import BaseOperator, Context
from airflow.sdk.exceptions import AirflowFailException

log = logging.getLogger(__name__)


class RunOutcomeOperator(BaseOperator):
    """
    Fails. With the trigger rule ``one_failed`` behind every agent of a DAG, it is run only when one failed.

    :param agents: Ids of the agents it judges.
    """

    ui_color = "#f4f4f4"

    def __init__(self, *, agents: Sequence[str], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.agents = list(agents)

    def execute(self, context: Context) -> None:
        """
        :raises AirflowFailException: Always; the message names the agents that failed.
        """
        failed = _failed(context, self.agents)
        names = ", ".join(failed) if failed else "an agent"
        raise AirflowFailException(f"the run failed: {names} failed; see the log of each")


def _failed(context: Context, agents: Sequence[str]) -> list[str]:
    """Agents that failed so far; none when Airflow cannot say, which must not hide that one did."""
    ti = context["ti"]
    try:
        states = ti.get_task_states(dag_id=ti.dag_id, run_ids=[ti.run_id])
    except Exception:
        log.warning("the states of the agents could not be read", exc_info=True)
        return []
    mine = states.get(ti.run_id, {})
    return [agent for agent in agents if mine.get(agent) == "failed"]
