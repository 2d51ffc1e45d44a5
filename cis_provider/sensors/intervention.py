"""``InterventionSensor``: asks humans what an agent wants to know, and hands their answers over."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any, get_args

from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import AirflowSkipException
from airflow.triggers.base import StartTriggerArgs

from cis_provider.model.duration import parse_duration
from cis_provider.model.on_blocked import AfterTimeout
from cis_provider.sensors.apart import without_default_args
from cis_provider.sensors.round import Round, Rules, Sleep, sleep_after_trouble
from cis_provider.triggers.intervention import InterventionTrigger

if TYPE_CHECKING:
    from airflow.sdk import Context
    from airflow.sdk.bases.notifier import BaseNotifier

#: Tries of its own, and seconds between them: a human's answer within the first second may cost one of them, since
#: Airflow then takes the late word of the process that deferred for a failure.
RETRIES, RETRY_DELAY = 100, timedelta(seconds=2)

#: Among what waits for a worker, it goes first: somebody has just answered.
PRIORITY = 1000


class InterventionSensor(BaseOperator):
    """
    Sleeps in the triggerer, at no worker and no slot, until its agent is blocked; then asks in Required Actions,
    hands the answer over, and sleeps again. Ends with its agent: skipped if nobody was asked, else with what was
    decided as its XCom. A mapped agent has one, which asks the questions of its parts one after another.

    Give it the upstream and the trigger rule of its agent, as :func:`cis_provider.interventions.interventions`
    does. A DAG's ``default_args`` do not reach it.

    :param agent: Id of the agent's task.
    :param approvers: Names of the Airflow users who may answer; none: whoever may edit the run.
    :param escalate_to: Those who may, too, once it was escalated.
    :param answer_timeout: Seconds, or text such as ``2h``, until ``after_timeout``; 0: never.
    :param after_timeout: ``remind``, ``escalate``, ``deny`` or ``fail``; never: allow.
    :param notifiers: Airflow notifiers that are called, too; ``intervention`` in their context says what for.
    """

    start_from_trigger = True
    ui_color = "#fde2e4"

    def __init__(
        self,
        *,
        agent: str,
        approvers: Collection[str] = (),
        escalate_to: Collection[str] = (),
        answer_timeout: float | str = 0.0,
        after_timeout: AfterTimeout = "remind",
        notifiers: Sequence[BaseNotifier] = (),
        **kwargs: Any,
    ) -> None:
        if after_timeout not in get_args(AfterTimeout):
            raise ValueError(
                f"after_timeout {after_timeout!r}: must be one of {', '.join(get_args(AfterTimeout))}"
            )
        kwargs.setdefault("retries", RETRIES)
        kwargs.setdefault("retry_delay", RETRY_DELAY)
        kwargs.setdefault("priority_weight", PRIORITY)
        kwargs.setdefault("weight_rule", "absolute")
        super().__init__(**without_default_args(kwargs))
        self.agent = agent
        self.approvers = list(approvers)
        self.escalate_to = list(escalate_to)
        self.answer_timeout = parse_duration(answer_timeout) if answer_timeout else 0.0
        self.after_timeout = after_timeout
        self.notifiers = list(notifiers)
        self.start_trigger_args = StartTriggerArgs(
            trigger_cls="cis_provider.triggers.intervention.InterventionTrigger",
            trigger_kwargs={"agent": agent},
            next_method="resume",
        )

    def execute(self, context: Context) -> None:
        """Only ``airflow dags test`` comes here: it knows no triggerer, and would wait for ever."""
        raise AirflowSkipException("nobody is asked in a test run")

    def resume(self, context: Context, event: Mapping[str, Any] | None = None) -> None:
        """Go one round, on a worker, and sleep again."""
        event = event or {}
        try:
            sleep = self._round(context).go_on(event)
        except Exception as error:
            # The agent is what matters: no trouble of ours fails its run.
            sleep = sleep_after_trouble(event, error, self.log)
        self._sleep(sleep)

    def _round(self, context: Context) -> Round:
        from cis_provider.context.blockages import BlockageBook
        from cis_provider.context.store import ContextStore
        from cis_provider.sensors.desk import AirflowDesk

        ti: Any = context["ti"]
        rules = Rules(
            approvers=tuple(self.approvers),
            escalate_to=tuple(self.escalate_to),
            answer_timeout=self.answer_timeout,
            after_timeout=self.after_timeout,
        )
        return Round(
            (ti.dag_id, ti.run_id, self.agent),
            rules,
            BlockageBook(ContextStore.default()),
            AirflowDesk(context, self.agent, self.notifiers, self.log),
            self.log,
        )

    def _sleep(self, sleep: Sleep) -> None:
        if sleep.asked_as:
            self.log.info("question %d is asked; waiting for an answer", sleep.number)
        self.defer(
            trigger=InterventionTrigger(agent=self.agent, deferred_at=time.time(), **sleep._asdict()),
            method_name="resume",
        )
