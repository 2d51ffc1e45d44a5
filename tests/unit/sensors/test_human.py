"""A step where a person decides: what it asks, when it asks again, and what it does with what it is told."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk import DAG
from airflow.sdk.exceptions import AirflowException, AirflowFailException, TaskDeferred

from cis_provider.context.store import ContextStore
from cis_provider.errors import StoreError
from cis_provider.sensors import desk
from cis_provider.sensors.human import HumanSensor
from cis_provider.triggers.human import HumanTrigger


class Memory(dict):
    """What a task keeps over its tries."""

    def set(self, key: str, value: Any) -> None:
        self[key] = value


class Place:
    """A task instance, its memory, and the forms that it shows."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.forms: list[dict[str, Any]] = []
        self.saved: list[Any] = []
        self.pushed: list[Any] = []
        self.ti = SimpleNamespace(
            dag_id="d", run_id="r", task_id="ask", map_index=-1, try_number=1, max_tries=20, id="id"
        )
        self.ti.xcom_push = lambda key, value: self.pushed.append(value)
        self.context: Any = {"ti": self.ti, "task_state_store": Memory(), "task": None}
        self.error: Exception | None = None
        monkeypatch.setattr(desk, "show_form", lambda ti, **form: self.forms.append(form) or {})
        monkeypatch.setattr(ContextStore, "default", lambda: self)

    def save(self, key: Any, **given: Any) -> None:
        if self.error:
            raise self.error
        self.saved.append(given["result"])


@pytest.fixture
def place(monkeypatch: pytest.MonkeyPatch) -> Place:
    return Place(monkeypatch)


def sleeps(call: Any, *args: Any) -> HumanTrigger:
    with pytest.raises(TaskDeferred) as deferred:
        call(*args)
    assert isinstance(deferred.value.trigger, HumanTrigger)
    return deferred.value.trigger


def step(**given: Any) -> HumanSensor:
    return HumanSensor(task_id="ask", question="# Go on?\n\nfound 42", **given)


def chosen(option: str, words: str = "") -> dict[str, Any]:
    return {
        "chosen_options": [option],
        "params_input": {"answer": words},
        "responded_by_user": {"id": "1", "name": "ann"},
    }


def test_it_asks_once_and_a_lost_try_looks_for_the_answer(place: Place) -> None:
    sleeps(step().execute, place.context)
    place.ti.try_number = 2
    sleeps(step().execute, place.context)
    assert len(place.forms) == 1
    assert place.forms[0]["subject"] == "ask: Go on? (r)"


def test_a_cleared_step_asks_again(place: Place) -> None:
    sleeps(step().execute, place.context)
    place.ti.max_tries = 22
    sleeps(step().execute, place.context)
    assert len(place.forms) == 2


def test_a_form_that_could_not_be_shown_is_shown_by_the_next_try(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    # After a clear, the old answer stands in the form until then.
    def away(ti: Any, **form: Any) -> None:
        raise RuntimeError("503")

    show = desk.show_form
    monkeypatch.setattr(desk, "show_form", away)
    with pytest.raises(RuntimeError):
        step().execute(place.context)
    monkeypatch.setattr(desk, "show_form", show)
    sleeps(step().execute, place.context)
    assert len(place.forms) == 1


def test_a_long_question_fits_into_its_form(place: Place) -> None:
    question = HumanSensor(task_id="ask", question="# Go on?\n\n" + "long \0" * 300_000)
    sleeps(question.execute, place.context)
    body = place.forms[0]["body"]
    assert body.startswith("# Go on?")
    assert len(body) < 100_000
    assert "\0" not in body


def test_options_that_a_dag_has_for_its_agents_are_no_buttons() -> None:
    with DAG("d", default_args={"options": {"model": "large", "effort": "high"}}):
        assert HumanSensor(task_id="ask", question="?").options == ["Approve", "Reject"]


def test_a_form_that_was_never_shown_is_shown(place: Place) -> None:
    sleeps(step().resume, place.context, {"missing": True})
    assert len(place.forms) == 1


def test_the_choice_and_the_words_are_handed_on(place: Place) -> None:
    result = step(free_text=True).resume(place.context, chosen("Approve", "but slowly"))
    assert result["output"] == "**Approve**\n\nbut slowly\n"
    assert place.saved[0].answers[0].by == "ui:ann"


def test_who_refuses_fails_it_without_a_retry_and_says_so_downstream(place: Place) -> None:
    with pytest.raises(AirflowFailException, match="ui:ann chose 'Reject'"):
        step().resume(place.context, chosen("Reject"))
    assert place.saved[0].is_error
    assert place.pushed[0]["subtype"] == "refused"


def test_any_other_choice_succeeds(place: Place) -> None:
    assert (
        step(options=["Later", "No", "Never mind"]).resume(place.context, chosen("Later"))["is_error"]
        is False
    )


def test_a_store_that_is_away_is_tried_again_and_the_answer_stays(place: Place) -> None:
    place.error = StoreError("away")
    with pytest.raises(AirflowException, match="away") as error:
        step().resume(place.context, chosen("Approve"))
    assert not isinstance(error.value, AirflowFailException)


def test_the_time_is_over_and_nobody_has_approved(place: Place) -> None:
    timed = {"answer_timeout": "1h"}
    assert sleeps(step(**timed).resume, place.context, {"timeout": 1}).reminded == 1
    with pytest.raises(AirflowFailException, match="timeout:deny chose 'Reject': nobody answered"):
        step(**timed, after_timeout="deny").resume(place.context, {"timeout": 1})
    for options in (["Yes"], ["Approve", "Reject"]):
        with pytest.raises(AirflowFailException, match="blocked too long"):
            step(**timed, after_timeout="fail", options=options).resume(place.context, {"timeout": 1})
    with pytest.raises(AirflowFailException, match="blocked too long"):
        step(**timed, after_timeout="deny", options=["Yes"]).resume(place.context, {"timeout": 1})


def test_an_escalation_shows_the_form_to_others_and_then_reminds(place: Place) -> None:
    asks = step(answer_timeout=60, after_timeout="escalate", approvers=["ann"], escalate_to=["bob"])
    sleeps(asks.resume, place.context, {"timeout": 1})
    sleeps(asks.resume, place.context, {"timeout": 2})
    assert [form["users"] for form in place.forms] == [["ann", "bob"]]
