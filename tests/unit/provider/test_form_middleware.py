"""The middleware that gives a second question its own text, and approvers their ids."""

from __future__ import annotations

import json
import uuid
from typing import Any

import pytest

from cis_provider.api.approvers import MENDED
from cis_provider.api.forms import LIMIT, FormMiddleware, is_needed

TI = uuid.uuid4()
FORM = {"subject": "second", "options": ["Allow (2)"]}


class App:
    """Answers with a status, in parts."""

    def __init__(self, status: int, events: list[str]) -> None:
        self.status, self.events = status, events
        self.read = b""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        more = True
        while more:
            message = await receive()
            self.read += message.get("body", b"")
            more = message.get("more_body", False)
        self.events.append("committed")
        headers = [(b"content-length", b"2"), (b"x-kept", b"1")]
        await send({"type": "http.response.start", "status": self.status, "headers": headers})
        await send({"type": "http.response.body", "body": b"{"})
        await send({"type": "http.response.body", "body": b"}"})


class Client:
    """One request and what comes back."""

    def __init__(self) -> None:
        self.events: list[str] = []
        self.written: list[tuple[uuid.UUID, Any]] = []
        self.fails = False
        self.users: list[dict[str, str]] | None = None
        self.looked_up: list[tuple[str, str, str, int]] = []
        self.headers: list[tuple[bytes, bytes]] = []

    def write(self, ti_id: uuid.UUID, form: Any) -> list[dict[str, str]] | None:
        self.events.append("written")
        if self.fails:
            raise OSError("no database")
        self.written.append((ti_id, form))
        return self.users

    def look_again(self, dag_id: str, run_id: str, task_id: str, map_index: int) -> None:
        self.events.append("looked up")
        if self.fails:
            raise OSError("no database")
        self.looked_up.append((dag_id, run_id, task_id, map_index))

    async def post(
        self, path: str, body: bytes, status: int = 201, method: str = "POST"
    ) -> tuple[int, bytes]:
        app = App(status, self.events)
        parts = [body[n : n + 4096] for n in range(0, len(body), 4096)] or [b""]
        requests = [
            {"type": "http.request", "body": part, "more_body": n < len(parts) - 1}
            for n, part in enumerate(parts)
        ]
        sent: list[Any] = []

        async def receive() -> Any:
            return requests.pop(0)

        async def send(message: Any) -> None:
            self.events.append("answered")
            sent.append(message)

        scope = {"type": "http", "method": method, "path": path}
        await FormMiddleware(app, self.write, self.look_again)(scope, receive, send)
        assert app.read == body
        self.headers = sent[0]["headers"]
        return sent[0]["status"], b"".join(one["body"] for one in sent[1:])


@pytest.fixture
def client() -> Client:
    return Client()


async def test_a_form_is_written_after_airflow_has_and_before_the_task_goes_on(client: Client) -> None:
    assert await client.post(f"/execution/hitlDetails/{TI}", json.dumps(FORM).encode()) == (201, b"{}")
    assert client.written == [(TI, FORM)]
    assert client.events == ["committed", "written", "answered", "answered", "answered"]


async def test_what_airflow_refuses_is_left_alone(client: Client) -> None:
    assert (await client.post(f"/execution/hitlDetails/{TI}", b"{}", status=422))[0] == 422
    assert client.written == []


async def test_other_requests_pass(client: Client) -> None:
    await client.post(f"/execution/hitlDetails/{TI}", b"{}", method="PATCH")
    await client.post("/execution/task-instances/states", b"{}")
    await client.post("/api/v2/dags", b"{}")
    assert client.written == []


async def test_a_form_that_cannot_be_written_is_a_failure_that_is_tried_again(client: Client) -> None:
    client.fails = True
    assert (await client.post(f"/execution/hitlDetails/{TI}", json.dumps(FORM).encode()))[0] == 503


async def test_no_more_is_kept_of_a_request_than_a_form_may_have(client: Client) -> None:
    body = json.dumps({**FORM, "body": "x" * LIMIT}).encode()
    assert (await client.post(f"/execution/hitlDetails/{TI}", body))[0] == 503
    assert client.written == []


def test_it_is_needed_until_airflow_does_so_itself() -> None:
    assert [is_needed(version) for version in ("3.3.2", "3.3.10rc1", "3.4.0", "3.4.0.dev0", "4.0.1")] == [
        True,
        True,
        False,
        False,
        False,
    ]


async def test_the_task_knows_that_its_form_was_mended_and_nobody_elses_reply_is_touched(
    client: Client,
) -> None:
    path = f"/execution/hitlDetails/{TI}"
    assert (await client.post(path, json.dumps(FORM).encode()))[1] == b"{}"
    client.users = []
    found = json.loads((await client.post(path, json.dumps(FORM).encode()))[1])
    assert found == {"assigned_users": [], "params": MENDED}


async def test_the_task_is_told_who_may_answer_and_who_is_unknown(client: Client) -> None:
    client.users = [{"id": "2", "name": "ann"}, {"id": "unknown:bob", "name": "bob"}]
    status, body = await client.post(f"/execution/hitlDetails/{TI}", json.dumps(FORM).encode())
    assert (status, json.loads(body)) == (201, {"assigned_users": client.users, "params": MENDED})
    assert client.headers == [(b"x-kept", b"1"), (b"content-length", str(len(body)).encode())]


FILLED_IN = "/api/v2/dags/d/dagRuns/manual__1:00+00:00/taskInstances/interventions.a/-1/hitlDetails"


async def test_unknown_users_are_looked_up_again_before_airflow_judges_an_answer(client: Client) -> None:
    await client.post(FILLED_IN, b"{}", status=200, method="PATCH")
    assert client.looked_up == [("d", "manual__1:00+00:00", "interventions.a", -1)]
    assert client.events[:2] == ["looked up", "committed"]
    await client.post(FILLED_IN, b"", status=200, method="GET")
    assert len(client.looked_up) == 1


async def test_an_answer_passes_though_nobody_can_be_looked_up(client: Client) -> None:
    client.fails = True
    assert (await client.post(FILLED_IN, b"{}", status=200, method="PATCH"))[0] == 200
