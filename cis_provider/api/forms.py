"""
What Airflow's api-server does besides, around the forms of our tasks.

A second question shows its own text. Airflow 3.3 keeps subject, body and options of the first form that a task
instance shows, whatever it asks later, in the same try and after a retry: a human would consent to the wrong
thing. This middleware watches the request with which a task shows a form, holds the answer back until Airflow has
written its part (earlier would mean to wait for each other's locks), and then writes the rest of the form. Airflow
3.4 does so itself.

Those who may fill it in get the ids that the auth manager knows them by. Who may not after all is told in the form,
and to its task in the answer; who is unknown is looked up again when somebody fills the form in.

Light: every process of Airflow imports it.
"""

from __future__ import annotations

import asyncio
import json
import logging
import re
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from uuid import UUID

from cis_provider.api.approvers import MENDED, Approver, approvers, renewed
from cis_provider.sensors.barred import in_form

log = logging.getLogger(__name__)

#: Operators whose forms are ours to mend.
OURS = ("InterventionSensor", "HumanSensor")

#: Bytes of a request that are looked at.
LIMIT = 1024 * 1024

_SHOWN = re.compile(r"/execution/hitlDetails/([0-9a-fA-F-]{36})/?")
_FILLED_IN = re.compile(r"/dags/([^/]+)/dagRuns/([^/]+)/taskInstances/([^/]+)/(-?[0-9]+)/hitlDetails/?$")

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]


class FormMiddleware:
    """
    ASGI middleware around Airflow's api-server.

    :param app: What it stands before.
    :param write: Writes a form, and says who may fill it in, as the task is told, or ``None`` if it is not ours; for
        tests.
    :param look_again: Looks unknown users of a form up again; for tests.
    """

    def __init__(
        self,
        app: App,
        write: Callable[[UUID, dict[str, Any]], list[dict[str, str]] | None] | None = None,
        look_again: Callable[[str, str, str, int], None] | None = None,
    ) -> None:
        self._app = app
        self._write = write or write_form
        self._look_again = look_again or look_again_for_strangers

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Let everything pass; hold back what follows a form that is shown."""
        method = scope.get("method") if scope["type"] == "http" else None
        if method == "POST" and (found := _SHOWN.search(scope["path"])):
            await self._shown(UUID(found[1]), scope, receive, send)
            return
        if method == "PATCH" and (found := _FILLED_IN.search(scope["path"])):
            await self._filled_in(found[1], found[2], found[3], int(found[4]))
        await self._app(scope, receive, send)

    async def _shown(self, ti_id: UUID, scope: Message, receive: Receive, send: Send) -> None:
        body = _Body(receive)
        held: list[Message] = []

        async def hold(message: Message) -> None:
            held.append(message)

        await self._app(scope, body.receive, hold)
        status = next((one["status"] for one in held if one["type"] == "http.response.start"), 0)
        if status == 201:
            held = await self._mended(ti_id, body.taken, held)
        for message in held:
            await send(message)

    async def _mended(self, ti_id: UUID, taken: bytes | None, held: list[Message]) -> list[Message]:
        try:
            if taken is None:
                raise ValueError(f"a form of more than {LIMIT} bytes")
            users = await asyncio.to_thread(self._write, ti_id, json.loads(taken))
            return held if users is None else _told(held, users)
        except Exception as error:
            # A form that shows another question's text is worse than none: the task asks again.
            log.exception("the form of task instance %s could not be written: %s", ti_id, error)
            return _refusal()

    async def _filled_in(self, dag_id: str, run_id: str, task_id: str, map_index: int) -> None:
        try:
            await asyncio.to_thread(self._look_again, dag_id, run_id, task_id, map_index)
        except Exception as error:
            # Then it stays with those who were known.
            log.warning("nobody could be looked up for the form of %s, %s: %s", task_id, run_id, error)


class _Body:
    """What a request says, while the application reads it."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._parts: list[bytes] = []
        self._size = 0

    async def receive(self) -> Message:
        message = await self._receive()
        if message["type"] == "http.request":
            part = message.get("body", b"")
            self._size += len(part)
            self._parts = [*self._parts, part] if self._size <= LIMIT else []
        return message

    @property
    def taken(self) -> bytes | None:
        """All of it; ``None`` if it was too much."""
        return b"".join(self._parts) if self._size <= LIMIT else None


def write_form(ti_id: UUID, form: dict[str, Any]) -> list[dict[str, str]] | None:
    """
    Write what a task wants to ask into its form, if it is one of ours. Blocks.

    :param form: As the task sent it.
    :return: Who may fill it in, as the task is told; ``None``: it is not ours.
    :raises Exception: Whatever the database raises; nothing was changed.
    """
    from airflow import __version__
    from airflow.models.hitl import HITLDetail
    from airflow.models.taskinstance import TaskInstance
    from airflow.utils.session import create_session
    from sqlalchemy import select, update

    with create_session() as session:
        task = session.execute(
            select(TaskInstance.dag_id, TaskInstance.task_id).where(
                TaskInstance.id == ti_id, TaskInstance.operator.in_(OURS)
            )
        ).one_or_none()
        if task is None:
            return None
        found = approvers(session, task[0], [user["name"] for user in form.get("assigned_users") or ()])
        session.execute(
            update(HITLDetail)
            .where(HITLDetail.ti_id == ti_id)
            .values(
                body=_body(form, task[1], found),
                assignees=[one.stored() for one in found],
                **(_question(form) if is_needed(__version__) else {}),
            )
            .execution_options(synchronize_session=False)
        )
    return [one.told() for one in found]


def _body(form: dict[str, Any], task_id: str, found: list[Approver]) -> str | None:
    body: str | None = form.get("body")
    trouble = {one.name: one.trouble for one in found if one.trouble}
    if not trouble:
        return body
    return (
        f"{in_form(trouble, task_id.rpartition('.')[2], nobody=len(trouble) == len(found))}\n\n{body or ''}"
    )


def _question(form: dict[str, Any]) -> dict[str, Any]:
    from airflow._shared.timezones import timezone

    return {
        "subject": form["subject"],
        "options": form["options"],
        "defaults": form.get("defaults"),
        "multiple": bool(form.get("multiple")),
        "params": form.get("params") or {},
        "created_at": timezone.utcnow(),
        # Somebody may have answered the question before in the moment when it was open again.
        "responded_at": None,
        "responded_by": None,
        "chosen_options": None,
        "params_input": {},
    }


def look_again_for_strangers(dag_id: str, run_id: str, task_id: str, map_index: int) -> None:
    """
    Look up again who was unknown when a form of ours was shown: they may have been added since. Blocks.

    :raises Exception: Whatever the database raises; nothing was changed.
    """
    from airflow.models.hitl import HITLDetail
    from airflow.models.taskinstance import TaskInstance
    from airflow.utils.session import create_session
    from sqlalchemy import select, update

    with create_session() as session:
        form = session.execute(
            select(HITLDetail.ti_id, HITLDetail.assignees)
            .join(TaskInstance, TaskInstance.id == HITLDetail.ti_id)
            .where(
                TaskInstance.dag_id == dag_id,
                TaskInstance.run_id == run_id,
                TaskInstance.task_id == task_id,
                TaskInstance.map_index == map_index,
                TaskInstance.operator.in_(OURS),
            )
            # Its task may show it to others in this moment.
            .with_for_update(of=HITLDetail)
        ).one_or_none()
        users = renewed(form[1] or [], lambda names: approvers(session, dag_id, names)) if form else None
        if form and users:
            session.execute(
                update(HITLDetail)
                .where(HITLDetail.ti_id == form[0])
                .values(assignees=users)
                .execution_options(synchronize_session=False)
            )


def is_needed(version: str) -> bool:
    """Whether this version of Airflow keeps the text of the first form."""
    numbers = re.findall(r"\d+", version)[:2]
    return tuple(map(int, numbers)) < (3, 4)


def _told(held: list[Message], users: list[dict[str, str]]) -> list[Message]:
    """Airflow's answer to a task, with those who may fill its form in."""
    start = next(one for one in held if one["type"] == "http.response.start")
    reply = json.loads(b"".join(one.get("body", b"") for one in held if one["type"] == "http.response.body"))
    body = json.dumps({**reply, "assigned_users": users, "params": MENDED}).encode()
    headers = [(name, value) for name, value in start["headers"] if name.lower() != b"content-length"]
    headers.append((b"content-length", str(len(body)).encode()))
    return [{**start, "headers": headers}, {"type": "http.response.body", "body": body}]


def _refusal() -> list[Message]:
    body = b'{"detail": "the form could not be written; ask again"}'
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    return [
        {"type": "http.response.start", "status": 503, "headers": headers},
        {"type": "http.response.body", "body": body},
    ]


#: For Airflow's plugin.
MIDDLEWARES = [{"name": "cis-forms", "middleware": FormMiddleware, "args": [], "kwargs": {}}]
