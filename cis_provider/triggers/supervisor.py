"""What our triggers ask the process above them, which has Airflow's API. Every function waits without blocking."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from typing import Any
from urllib.parse import quote
from uuid import UUID

from airflow.sdk.exceptions import AirflowRuntimeError

#: Seconds for one answer. The first question that a triggerer's triggers have starts an API inside it.
_PATIENCE = 60.0

#: Characters of names in one question: they stand in an address, which httpx takes up to 64 kB of. Twice, since the
#: names of tasks and those of runs do, and with room for what is escaped.
_ADDRESS = 10_000

#: The form is gone, or was filled in by somebody else.
_NO_MATTER = frozenset({404, 409})


class NoForm(Exception):
    """The task instance never showed a form."""


async def task_states(
    dag_id: str, task_ids: Collection[str], run_ids: Collection[str]
) -> dict[str, dict[str, str | None]]:
    """
    States of tasks by run and id; that of a mapped task's part stands under ``ID_INDEX``.

    :raises Exception: Whatever the API, or the way to it, has to say.
    """
    from airflow.sdk.execution_time.comms import GetTaskStates

    found: dict[str, dict[str, str | None]] = {}
    for runs in portions(run_ids):
        for tasks in portions(task_ids):
            reply = await _ask(GetTaskStates(dag_id=dag_id, task_ids=tasks, run_ids=runs))
            for run_id, states in reply.task_states.items():
                found.setdefault(run_id, {}).update(states)
    return found


def portions(names: Collection[str]) -> list[list[str]]:
    """Names, sorted, in as few questions as there may be."""
    found: list[list[str]] = []
    room = 0
    for name in sorted(names):
        needed = len(quote(name)) + len("&task_ids=")
        if not found or needed > room:
            found.append([])
            room = _ADDRESS
        found[-1].append(name)
        room -= needed
    return found


async def form_response(ti_id: UUID) -> dict[str, Any] | None:
    """
    What a human has filled into the form of a task instance; ``None`` while nobody has.

    The same as the event of a task that is resumed by such a form.

    :raises NoForm: There is none.
    """
    from airflow.sdk.execution_time.comms import GetHITLDetailResponse

    try:
        reply = await _ask(GetHITLDetailResponse(ti_id=ti_id))
    except AirflowRuntimeError as error:
        if _status(error) == 404:
            raise NoForm from None
        raise
    if not reply.response_received:
        return None
    user = reply.responded_by_user
    return {
        "chosen_options": list(reply.chosen_options or ()),
        "params_input": dict(reply.params_input or {}),
        "responded_by_user": {"id": user.id, "name": user.name} if user else None,
    }


async def close_form(ti_id: UUID, chosen: str, params_input: dict[str, Any]) -> None:
    """Fill a form in that nobody has to fill in any more, so that it is not listed. Filled in already: as well."""
    from airflow.sdk.execution_time.comms import UpdateHITLDetail

    try:
        await _ask(UpdateHITLDetail(ti_id=ti_id, chosen_options=[chosen], params_input=params_input))
    except AirflowRuntimeError as error:
        if _status(error) not in _NO_MATTER:
            raise


async def set_xcom(key: str, value: Any, *, dag_id: str, run_id: str, task_id: str, map_index: int) -> None:
    """Set a value among a task's XComs."""
    from airflow.sdk.execution_time.comms import SetXCom

    await _ask(
        SetXCom(key=key, value=value, dag_id=dag_id, run_id=run_id, task_id=task_id, map_index=map_index)
    )


async def _ask(message: Any) -> Any:
    from airflow.sdk.execution_time import task_runner

    async with asyncio.timeout(_PATIENCE):
        return await task_runner.SUPERVISOR_COMMS.asend(message)


def _status(error: AirflowRuntimeError) -> int:
    detail = error.error.detail or {}
    return int(detail.get("status_code") or 0)
