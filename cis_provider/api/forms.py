"""
A second question shows its own text.

Airflow 3.3 keeps subject, body and options of the first form that a task instance shows, whatever it asks
later, in the same try and after a retry: a human would consent to the wrong thing. This middleware of the
api-server watches the request with which a task shows a form, holds the answer back until Airflow has written
its part (earlier would mean to wait for each other's locks), and then writes the rest of the form. Airflow 3.4
does so itself.

Light: every process of Airflow imports it.
"""

from __future__ import annotations

import asyncio
import json
import logging
import re
from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping
from typing import Any
from uuid import UUID

log = logging.getLogger(__name__)

#: Operators whose forms are ours to mend.
OURS = ("InterventionSensor", "HumanSensor")

#: Bytes of a request that are looked at.
LIMIT = 1024 * 1024

_PATH = re.compile(r"/execution/hitlDetails/([0-9a-fA-F-]{36})/?")

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]


class FormMiddleware:
    """
    ASGI middleware around Airflow's api-server.

    :param app: What it stands before.
    :param write: Writes a form; for tests.
    """

    def __init__(self, app: App, write: Callable[[UUID, dict[str, Any]], None] | None = None) -> None:
        self._app = app
        self._write = write or write_form

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Let everything pass; hold back what follows a form that is shown."""
        found = (
            _PATH.search(scope["path"]) if scope["type"] == "http" and scope.get("method") == "POST" else None
        )
        if found is None:
            await self._app(scope, receive, send)
            return
        body = _Body(receive)
        held: list[Message] = []

        async def hold(message: Message) -> None:
            held.append(message)

        await self._app(scope, body.receive, hold)
        status = next((one["status"] for one in held if one["type"] == "http.response.start"), 0)
        if status == 201 and not await self._mended(UUID(found[1]), body.taken):
            held = _refusal()
        for message in held:
            await send(message)

    async def _mended(self, ti_id: UUID, taken: bytes | None) -> bool:
        try:
            if taken is None:
                raise ValueError(f"a form of more than {LIMIT} bytes")
            await asyncio.to_thread(self._write, ti_id, json.loads(taken))
        except Exception as error:
            # A form that shows another question's text is worse than none: the task asks again.
            log.exception("the form of task instance %s could not be written: %s", ti_id, error)
            return False
        return True


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


def write_form(ti_id: UUID, form: dict[str, Any]) -> None:
    """
    Write what a task wants to ask into its form, if it is one of ours. Blocks.

    :param form: As the task sent it.
    :raises Exception: Whatever the database raises; nothing was changed.
    """
    from airflow._shared.timezones import timezone
    from airflow.models.hitl import HITLDetail
    from airflow.models.taskinstance import TaskInstance
    from airflow.utils.session import create_session
    from sqlalchemy import select, update

    with create_session() as session:
        session.execute(
            update(HITLDetail)
            .where(
                HITLDetail.ti_id == ti_id,
                HITLDetail.ti_id.in_(
                    select(TaskInstance.id).where(TaskInstance.id == ti_id, TaskInstance.operator.in_(OURS))
                ),
            )
            .values(
                subject=form["subject"],
                body=form.get("body"),
                options=form["options"],
                defaults=form.get("defaults"),
                multiple=bool(form.get("multiple")),
                params=form.get("params") or {},
                assignees=by_id(form.get("assigned_users") or (), _find_user()),
                created_at=timezone.utcnow(),
                # Somebody may have answered the question before in the moment when it was open again.
                responded_at=None,
                responded_by=None,
                chosen_options=None,
                params_input={},
            )
            .execution_options(synchronize_session=False)
        )


def by_id(users: Iterable[Mapping[str, str]], find: Callable[[str], Any] | None) -> list[dict[str, str]]:
    """
    Who may fill a form in, as the auth manager knows them: the one of FAB by number, though people write names.

    :param find: Finds a user by name; ``None``: their ids are their names.
    """
    found = []
    for user in users:
        known = find(user["name"]) if find else None
        found.append({"id": str(known.id) if known else user["id"], "name": user["name"]})
    return found


def _find_user() -> Callable[[str], Any] | None:
    from airflow.api_fastapi.app import get_auth_manager

    manager = getattr(get_auth_manager(), "security_manager", None)
    find = getattr(manager, "find_user", None)
    if find is None:
        return None

    def find_user(name: str) -> Any:
        try:
            return find(username=name)
        except Exception as error:
            # Then it is the name that counts: refusing somebody is better than a form that nobody sees.
            log.warning("the auth manager does not say who %s is: %s", name, error)
            return None

    return find_user


def is_needed(version: str) -> bool:
    """Whether this version of Airflow keeps the text of the first form."""
    numbers = re.findall(r"\d+", version)[:2]
    return tuple(map(int, numbers)) < (3, 4)


def _refusal() -> list[Message]:
    body = b'{"detail": "the form could not be written; ask again"}'
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    return [
        {"type": "http.response.start", "status": 503, "headers": headers},
        {"type": "http.response.body", "body": body},
    ]


def _middlewares() -> list[dict[str, Any]]:
    from airflow import __version__

    if not is_needed(__version__):
        return []
    return [{"name": "cis-forms", "middleware": FormMiddleware, "args": [], "kwargs": {}}]


#: For Airflow's plugin.
MIDDLEWARES = _middlewares()
