"""Forms on their way to Airflow, and what comes back: who of its approvers may not answer."""

from __future__ import annotations

import logging
import uuid
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk.api.datamodels._generated import HITLDetailRequest
from airflow.sdk.execution_time import task_runner
from airflow.sdk.execution_time.comms import CreateHITLDetailPayload, HITLDetailRequestResult

from cis_provider.api.approvers import MENDED
from cis_provider.sensors.barred import in_form
from cis_provider.sensors.desk import ask

TI = SimpleNamespace(id=uuid.uuid4(), task_id="ship")


class Supervisor:
    """Answers as Airflow's does when the middleware of the api-server knows some of the users."""

    mended: Any = MENDED

    def __init__(self, **known: str) -> None:
        self.known = known
        self.forms: list[Any] = []

    def send(self, message: Any) -> Any:
        assert isinstance(message, CreateHITLDetailPayload)
        self.forms.append(message)
        users = [
            {"id": self.known.get(user.name, f"unknown:{user.name}"), "name": user.name}
            for user in message.assigned_users or ()
        ]
        shown = {**message.model_dump(exclude={"type"}), "assigned_users": users, "params": self.mended}
        return HITLDetailRequestResult.from_api_response(HITLDetailRequest.model_validate(shown))


def asked(
    monkeypatch: pytest.MonkeyPatch, supervisor: Supervisor, users: list[str], **task: Any
) -> CreateHITLDetailPayload:
    monkeypatch.setattr(task_runner, "SUPERVISOR_COMMS", supervisor, raising=False)
    context: Any = {"ti": TI, "task": SimpleNamespace(**task)}
    form: dict[str, Any] = {"subject": "Ship?", "body": "", "options": ["Yes"], "words": "why"}
    ask(context, logging.getLogger("asks"), users=users, **form)
    [sent] = supervisor.forms
    assert sent.ti_id == TI.id
    return sent


def test_an_approver_whom_airflow_does_not_know_is_named_with_the_key_and_the_way_out(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    sent = asked(
        monkeypatch, Supervisor(ann="7"), ["ann", "bob", "carol"], agent="fix", approvers=["ann", "bob"]
    )
    assert [user.name for user in sent.assigned_users or ()] == ["ann", "bob", "carol"]
    [record] = caplog.records
    assert record.levelname == "WARNING"
    assert record.message.startswith(
        "Airflow has no active user 'bob' (approvers of fix) or 'carol' (escalate_to of fix): add them under"
    )


def test_a_form_that_nobody_may_answer_says_so(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    asked(monkeypatch, Supervisor(), ["bob"], approvers=["bob"])
    found = "Nobody may answer this form. Airflow has no active user 'bob' (approvers of ship): add them"
    assert found in caplog.text
    said = in_form({"bob": "unknown"}, "ship", nobody=True)
    assert said.startswith("> Nobody may answer this form. Airflow has no active user `bob` (`approvers` or")


def test_an_approver_whose_role_fills_no_forms_in_is_named(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    asked(monkeypatch, Supervisor(ann="7", vera="powerless:vera"), ["ann", "vera"], approvers=["ann", "vera"])
    [record] = caplog.records
    assert record.message.startswith(
        "The role of 'vera' (approvers of ship) in Airflow may not fill forms in"
    )


@pytest.mark.parametrize("users", [[], ["ann"]])
def test_nothing_is_said_of_whom_airflow_knows(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, users: list[str]
) -> None:
    sent = asked(monkeypatch, Supervisor(ann="7"), users, approvers=users)
    assert sent.params is not None
    assert sent.params["answer"]["schema"]["format"] == "multiline"
    assert caplog.records == []


def test_an_api_server_that_mends_no_forms_is_told_of(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    supervisor = Supervisor(ann="ann")
    supervisor.mended = {"answer": {"value": ""}}
    asked(monkeypatch, supervisor, ["ann"], approvers=["ann"])
    assert "has no plugin `cis`" in caplog.text
    assert "--apps all" in caplog.text
