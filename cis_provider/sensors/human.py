"""``HumanSensor``: a step where a person approves or answers before what comes after it goes on."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any, ClassVar, get_args

import jinja2
from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import AirflowException, AirflowFailException

from cis_provider.errors import CisError
from cis_provider.model.duration import format_duration, parse_duration
from cis_provider.model.on_blocked import AfterTimeout
from cis_provider.operators.outputs import UpstreamOutputs
from cis_provider.sensors.apart import without_default_args
from cis_provider.sensors.decided import Decided, read_decision, refuses
from cis_provider.triggers.human import HumanTrigger

if TYPE_CHECKING:
    from airflow.sdk import Context
    from airflow.sdk.bases.notifier import BaseNotifier

#: Tries of its own, as for those who ask for an agent.
RETRIES, RETRY_DELAY = 20, timedelta(seconds=2)

#: Under this name, the task keeps for which question its form is.
_ASKED = "asked"


class HumanSensor(BaseOperator):
    """
    Asks a person in Required Actions once its upstream is done, asleep in the triggerer meanwhile.

    The choice and the words are handed on as an agent's output is. The option that refuses fails the task, without
    a retry; any other succeeds. A DAG's ``default_args`` do not reach it.

    :param question: Markdown; ``{{ outputs['id'] }}`` is the output of an upstream agent. Of more than
        60,000 characters, the form shows the beginning and the end. (templated)
    :param options: What may be chosen; the first of them that says no (reject, deny, no ...) refuses.
    :param free_text: Whether words may be added.
    :param approvers: Names of the Airflow users who may answer; none: whoever may edit the run.
    :param escalate_to: Those who may, too, once it was escalated.
    :param answer_timeout: Seconds, or text such as ``2h``, until ``after_timeout``; 0: never.
    :param after_timeout: ``remind``, ``escalate``, ``deny`` or ``fail``; never: approve.
    :param notifiers: Airflow notifiers that are called, too; ``intervention`` in their context says what for.
    """

    template_fields: Sequence[str] = ("question",)
    template_fields_renderers: ClassVar[dict[str, str]] = {"question": "md"}
    ui_color = "#fde2e4"

    def __init__(
        self,
        *,
        question: str,
        options: Collection[str] = ("Approve", "Reject"),
        free_text: bool = False,
        approvers: Collection[str] = (),
        escalate_to: Collection[str] = (),
        answer_timeout: float | str = 0.0,
        after_timeout: AfterTimeout = "remind",
        notifiers: Sequence[BaseNotifier] = (),
        **kwargs: Any,
    ) -> None:
        if isinstance(options, Mapping):
            # Those of agents, from the DAG's default_args: the same name for something else.
            options = ("Approve", "Reject")
        if not options or len(set(options)) != len(list(options)):
            raise ValueError(f"options {list(options)}: must be one or more, each once")
        if after_timeout not in get_args(AfterTimeout):
            raise ValueError(
                f"after_timeout {after_timeout!r}: must be one of {', '.join(get_args(AfterTimeout))}"
            )
        kwargs.setdefault("retries", RETRIES)
        kwargs.setdefault("retry_delay", RETRY_DELAY)
        super().__init__(**without_default_args(kwargs))
        self.question = question
        self.options = list(options)
        self.free_text = free_text
        self.approvers = list(approvers)
        self.escalate_to = list(escalate_to)
        self.answer_timeout = parse_duration(answer_timeout) if answer_timeout else 0.0
        self.after_timeout = after_timeout
        self.notifiers = list(notifiers)

    def execute(self, context: Context) -> None:
        """Ask, unless a try that was lost has asked already."""
        ti: Any = context["ti"]
        # A clear raises max_tries, a lost try does not.
        marker = {"max_tries": ti.max_tries, "at": time.time()}
        store = context.get("task_state_store")
        asked: Any = store.get(_ASKED) if store is not None else None
        if isinstance(asked, Mapping) and asked.get("max_tries") == ti.max_tries:
            self.log.info("it was asked already; looking for the answer")
            self._sleep(float(asked["at"]), 0)
        self._ask(context, self.approvers, "asked")
        # Not before: until it is shown anew, the form of a cleared step holds the answer to its last question.
        if store is not None:
            store.set(_ASKED, marker)
        self._sleep(time.time(), 0)

    def resume(self, context: Context, event: Mapping[str, Any]) -> dict[str, Any]:
        """Go on with an answer, or because there is none."""
        if "chosen_options" in event:
            return self._conclude(context, read_decision(event, free_text=self.free_text))
        if event.get("missing"):
            self._ask(context, self.approvers, "asked")
            self._sleep(time.time(), 0)
        return self._too_late(context, int(event["timeout"]))

    def _too_late(self, context: Context, times: int) -> dict[str, Any]:
        within = format_duration(self.answer_timeout)
        no = next((option for option in self.options if refuses(option)), "")
        if self.after_timeout == "deny" and no:
            decided = Decided(option=no, text=f"nobody answered within {within}", by="timeout:deny")
            return self._conclude(context, decided)
        if self.after_timeout in ("deny", "fail"):
            raise AirflowFailException(f"blocked too long: nobody answered within {within}")
        if self.after_timeout == "escalate" and times == 1:
            users = [*self.approvers, *self.escalate_to] if self.approvers else []
            self._ask(context, users, "escalated")
        else:
            self._tell(context, "reminder")
        self._sleep(time.time(), times)
        raise AssertionError("deferring does not come back")

    def _ask(self, context: Context, users: Sequence[str], why: str) -> None:
        from cis_provider.sensors.desk import ask
        from cis_provider.sensors.forms import cut

        ask(
            context,
            self.log,
            subject=self._subject(context),
            body=cut(self.question),
            options=self.options,
            words="Words that are handed on with the choice" if self.free_text else "",
            users=users,
        )
        self._tell(context, why)

    def _tell(self, context: Context, why: str) -> None:
        from cis_provider.sensors.desk import notify

        what = {"why": why, "agent": self.task_id, "subject": self._subject(context), "options": self.options}
        notify(context, self.notifiers, what, self.log)

    def _subject(self, context: Context) -> str:
        first = next((line.strip("# *") for line in self.question.splitlines() if line.strip()), "")
        return f"{self.task_id}: {first} ({context['ti'].run_id})"[:200].replace("\0", "\ufffd")

    def _sleep(self, asked_at: float, reminded: int) -> None:
        self.defer(
            trigger=HumanTrigger(
                deadline=asked_at + self.answer_timeout if self.answer_timeout else 0.0,
                reminded=reminded,
                deferred_at=time.time(),
            ),
            method_name="resume",
        )

    def _conclude(self, context: Context, decided: Decided) -> dict[str, Any]:
        from cis_provider.context.store import ContextStore
        from cis_provider.model.session import SessionKey

        ti: Any = context["ti"]
        no = next((option for option in self.options if refuses(option)), None)
        result = decided.result(self._subject(context), refused=decided.option == no)
        key = SessionKey(ti.dag_id, ti.run_id, ti.task_id, ti.map_index if ti.map_index is not None else -1)
        try:
            ContextStore.default().save(key, try_number=ti.try_number, agent_type="human", result=result)
        except CisError as error:
            # The answer stays in the form: the next try reads it there.
            raise AirflowException(str(error)) from None
        if result.is_error:
            ti.xcom_push(key="return_value", value=result.to_dict())
            raise AirflowFailException(f"{decided.by} chose {decided.option!r}: {decided.text}".rstrip(": "))
        return result.to_dict()

    def _do_render_template_fields(
        self,
        parent: Any,
        template_fields: Any,
        context: Any,
        jinja_env: jinja2.Environment,
        seen_oids: set[int],
    ) -> None:
        context = {**context, "outputs": UpstreamOutputs.of(context, sorted(self.upstream_task_ids))}
        strict = jinja_env.overlay(undefined=jinja2.StrictUndefined)
        super()._do_render_template_fields(parent, template_fields, context, strict, seen_oids)
