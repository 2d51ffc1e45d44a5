"""Where a round of asking meets Airflow and the node: forms, notifiers, credentials, answers."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from cis_provider.api.approvers import MENDED, barred
from cis_provider.context.blockages import Entry
from cis_provider.model.blockage import Answer
from cis_provider.sensors.barred import NOT_MENDED, in_log
from cis_provider.sensors.forms import WORDS, body, labels, subject

if TYPE_CHECKING:
    from airflow.sdk import Context
    from airflow.sdk.bases.notifier import BaseNotifier

#: Seconds for the node to take an answer.
_NODE = 15.0


class AirflowDesk:
    """
    The desk of one task, in its process on a worker.

    :param agent: Id of the agent's task.
    """

    def __init__(
        self, context: Context, agent: str, notifiers: Sequence[BaseNotifier], log: logging.Logger | Any
    ) -> None:
        self._context, self._agent, self._notifiers, self._log = context, agent, notifiers, log

    def show(self, entry: Entry, asked_as: int, users: tuple[str, ...], note: str) -> None:
        """Show the form; the one before, and what was filled into it, is gone."""
        ask(
            self._context,
            self._log,
            subject=subject(entry.key, entry.blockage),
            body=body(entry.key, entry.blockage, number=asked_as, note=note),
            options=list(labels(entry.blockage, asked_as)),
            words="Words for the agent" if entry.blockage.free_text else "",
            users=users,
        )
        self._log.info("asked in Required Actions: %s", subject(entry.key, entry.blockage))

    def deliver(self, session_id: str, answer: Answer) -> None:
        """Hand an answer to the agent, through its node."""
        from cis_provider.node.client import NodeClient

        with NodeClient("intervention", timeout=_NODE) as node:
            node.answer(session_id, answer)

    def end(self, session_id: str, reason: str) -> None:
        """End the agent."""
        from cis_provider.node.client import NodeClient

        with NodeClient("intervention", timeout=_NODE) as node:
            node.end(session_id, reason)

    def secrets(self) -> dict[str, str]:
        """Read connection and variables of the agent anew."""
        from cis_provider.operators.request import current_secrets

        task = self._context["dag"].get_task(self._agent)
        return current_secrets(getattr(task, "partial_kwargs", None) or vars(task))

    def tell(self, entry: Entry, why: str) -> None:
        """Into the log, and by whatever notifiers the task has."""
        notify(self._context, self._notifiers, intervention(entry, why), self._log)


def intervention(entry: Entry, why: str) -> dict[str, Any]:
    """What a notifier gets as ``intervention``."""
    return {
        "why": why,
        "agent": entry.key.task_id,
        "map_index": entry.key.map_index,
        "number": entry.asked_as or entry.blockage.number,
        "kind": str(entry.blockage.kind),
        "subject": subject(entry.key, entry.blockage),
        "options": [option.label for option in entry.blockage.options],
        "since": entry.blockage.since,
    }


def notify(
    context: Context, notifiers: Sequence[BaseNotifier], what: Mapping[str, Any], log: logging.Logger | Any
) -> None:
    """Tell people besides the form. A notifier's trouble is logged."""
    log.info("%s: %s", what["why"], what["subject"])
    for notifier in notifiers:
        try:
            notifier({**context, "intervention": dict(what)})
        except Exception as error:
            log.warning("%s could not tell of it: %s", type(notifier).__name__, error)


def ask(context: Context, log: logging.Logger | Any, *, users: Sequence[str], **form: Any) -> None:
    """
    Show a form of a task, and log which of its users may not fill it in after all. The form itself says so, too.

    :param form: As for :func:`show_form`.
    :raises Exception: Airflow's API did not take it.
    """
    ti, task = context["ti"], context["task"]
    trouble = show_form(ti, users=users, **form)
    if trouble is None:
        log.warning(NOT_MENDED)
    elif trouble:
        keys = {
            name: "approvers" if name in getattr(task, "approvers", ()) else "escalate_to" for name in trouble
        }
        log.warning(
            in_log(trouble, keys, getattr(task, "agent", ti.task_id), nobody=len(trouble) == len(users))
        )


def show_form(
    ti: Any,
    *,
    subject: str,
    body: str,
    options: list[str],
    words: str,
    users: Sequence[str],
) -> dict[str, str] | None:
    """
    Put a form of a task instance into Required Actions, in place of the one before.

    :param words: What the field for words is for; empty: there is none.
    :param users: Names of those who may fill it in; none: whoever may edit the run.
    :return: Those of them who may not after all, each with the trouble; ``None``: our plugin was not there to say.
    :raises Exception: Airflow's API did not take it.
    """
    from airflow.sdk import Param
    from airflow.sdk.api.datamodels._generated import HITLUser
    from airflow.sdk.execution_time import task_runner
    from airflow.sdk.execution_time.comms import CreateHITLDetailPayload

    field = Param("", description=words, type=["string", "null"], format="multiline", title="Your words")
    # Airflow's own function for it keeps the reply to itself.
    reply: Any = task_runner.SUPERVISOR_COMMS.send(
        CreateHITLDetailPayload(
            ti_id=ti.id,
            subject=subject,
            body=body,
            options=options,
            params={WORDS: field.serialize()} if words else {},
            assigned_users=[HITLUser(id=name, name=name) for name in users],
        )
    )
    return barred(reply.assigned_users) if getattr(reply, "params", None) == MENDED else None
