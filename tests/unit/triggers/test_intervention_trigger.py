"""The triggers that sleep beside an agent: what wakes them, what ends them, and that they share one lookout."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.triggers.base import TaskSkippedEvent, TaskSuccessEvent

from cis_provider.context.blockages import BlockageBook
from cis_provider.context.store import ContextStore
from cis_provider.model.blockage import Answer, Blockage, BlockageKind, Option, Settled
from cis_provider.model.result import AgentResult
from cis_provider.model.session import SessionKey, SessionRecord, SessionState
from cis_provider.triggers import blockage, intervention, lookout, margin, supervisor
from cis_provider.triggers.blockage import BlockageTrigger
from cis_provider.triggers.intervention import InterventionTrigger
from cis_provider.triggers.lookout import states_of

AGENT = ("dag", "run", "agent")


class Airflow:
    """States of tasks and forms, in the place of Airflow."""

    def __init__(self) -> None:
        self.states: dict[str, str | None] = {"agent": "deferred"}
        self.response: dict[str, Any] | None = None
        self.closed: list[tuple[str, dict[str, Any]]] = []
        self.asked: Counter[str] = Counter()
        self.fails = False

    async def task_states(self, dag_id: str, task_ids: Any, run_ids: Any) -> dict[str, Any]:
        self.asked[dag_id] += 1
        if self.fails:
            raise RuntimeError("no API")
        return {"run": dict(self.states)}

    async def form_response(self, ti_id: Any) -> dict[str, Any] | None:
        return self.response

    async def close_form(self, ti_id: Any, chosen: str, params_input: dict[str, Any]) -> None:
        self.closed.append((chosen, params_input))


@pytest.fixture
def book(tmp_path: Path) -> BlockageBook:
    return BlockageBook(ContextStore.at(tmp_path / "context.db"))


@pytest.fixture
def airflow(book: BlockageBook, monkeypatch: pytest.MonkeyPatch) -> Airflow:
    airflow = Airflow()
    for name in ("task_states", "form_response", "close_form"):
        monkeypatch.setattr(supervisor, name, getattr(airflow, name))
    for module in (lookout, intervention, blockage):
        monkeypatch.setattr(module, "open_book", lambda: book)
    monkeypatch.setattr(lookout, "EVERY", 0.05)
    monkeypatch.setattr(lookout, "ROUND", 0.1)
    return airflow


def trigger(kind: type = InterventionTrigger, **given: Any) -> Any:
    made = kind(**{"agent": "agent", **given})
    made._task_instance = SimpleNamespace(dag_id="dag", run_id="run", task_id="i.agent", id=uuid.uuid4())
    path, kwargs = made.serialize()
    assert path == f"{kind.__module__}.{kind.__name__}"
    assert kind(**kwargs).serialize() == (path, kwargs)
    return made


def record(
    number: int = 1, *, since: float = 1.0, ended: bool = False, settled: tuple = (), **more
) -> SessionRecord:
    waits = Blockage(
        number=number,
        kind=more.pop("kind", BlockageKind.PERMISSION),
        title="t",
        since=since,
        options=more.pop("options", (Option("y", "Allow"),)),
    )
    return SessionRecord(
        session_id="s",
        key=SessionKey(*AGENT),
        try_number=1,
        max_tries=0,
        agent_id="agent",
        agent_type="claude",
        scope="global",
        worker="w",
        state=SessionState.ENDED if ended else SessionState.RUNNING,
        blockage=None if settled else waits,
        settled=settled,
        result=AgentResult(session_id="s", is_error=False, subtype="success") if ended else None,
    )


async def event(made: Any) -> Any:
    async with asyncio.timeout(10):
        async for found in made.run():
            return found
    raise AssertionError("no event")


async def test_it_sleeps_until_its_agent_is_blocked(book: BlockageBook, airflow: Airflow) -> None:
    task = asyncio.create_task(event(trigger()))
    await asyncio.sleep(0.3)
    assert not task.done()
    await asyncio.to_thread(book.note, record())
    found = await task
    assert found.payload == {"blocked": 1, "session_id": "s", "response": None, "attempt": 0}


async def test_it_brings_the_answer_that_a_lost_try_was_given(book: BlockageBook, airflow: Airflow) -> None:
    book.note(record())
    airflow.response = {"chosen_options": ["Allow (1)"], "params_input": {}, "responded_by_user": None}
    assert (await event(trigger())).payload["response"] == airflow.response


async def test_nobody_was_asked_so_it_is_skipped_with_its_agent(book: BlockageBook, airflow: Airflow) -> None:
    airflow.states["agent"] = "success"
    assert isinstance(await event(trigger()), TaskSkippedEvent)


async def test_somebody_was_asked_so_it_ends_with_what_was_decided(
    book: BlockageBook, airflow: Airflow
) -> None:
    book.note(record())
    [entry] = book.of_agent(AGENT)
    book.asked(entry, 1)
    book.answered(entry, Answer(number=1, option="y", by="ui:ann"))
    airflow.states["agent"] = "failed"
    found = await event(trigger(session_id="s", number=1, asked_as=1))
    assert isinstance(found, TaskSuccessEvent)
    [decided] = found.xcoms["return_value"]
    assert (decided["option"], decided["by"]) == ("Allow", "ui:ann")
    assert book.waiting() == []


async def test_a_question_that_ends_elsewhere_loses_its_form_and_the_next_one_wakes(
    book: BlockageBook, airflow: Airflow
) -> None:
    book.note(record())
    [entry] = book.of_agent(AGENT)
    book.asked(entry, 4)
    task = asyncio.create_task(event(trigger(session_id="s", number=1, asked_as=4)))
    await asyncio.sleep(0.3)
    assert not task.done()
    over = Settled(number=1, kind=BlockageKind.PERMISSION, title="t", option="Allow", by="terminal:ann")
    await asyncio.to_thread(book.note, record(settled=(over,)))
    while not airflow.closed:  # noqa: ASYNC110
        await asyncio.sleep(0.02)
    assert airflow.closed == [("Allow (4)", {})]
    assert not task.done()
    await asyncio.to_thread(book.note, record(2))
    assert (await task).payload["blocked"] == 2


@pytest.mark.parametrize("newer", [True, False])
async def test_a_form_that_was_filled_in_or_shows_the_next_question_is_not_closed(
    book: BlockageBook, airflow: Airflow, newer: bool
) -> None:
    book.note(record())
    [entry] = book.of_agent(AGENT)
    book.asked(entry, 1)
    over = Settled(
        number=1, kind=BlockageKind.PERMISSION, title="t", option="Allow", by="cli:a" if newer else "ui:a"
    )
    book.note(record(settled=(over,)))
    if newer:
        book.note(record(2))
        book.asked(book.of_agent(AGENT)[1], 2)
        book.note(record(settled=(over,)))
    airflow.states["agent"] = "success"
    assert isinstance(await event(trigger(session_id="s", number=1, asked_as=1)), TaskSuccessEvent)
    assert airflow.closed == []


async def test_an_answer_from_before_it_slept_is_found(book: BlockageBook, airflow: Airflow) -> None:
    book.note(record())
    airflow.response = {"chosen_options": ["Allow (1)"], "params_input": {}, "responded_by_user": None}
    found = await event(trigger(session_id="s", number=1, asked_as=1))
    assert found.payload["response"] == airflow.response


async def test_an_answer_to_an_older_form_brings_the_form_back(book: BlockageBook, airflow: Airflow) -> None:
    book.note(record())
    airflow.response = {"chosen_options": ["Allow (1)"], "params_input": {}, "responded_by_user": None}
    found = await event(trigger(session_id="s", number=1, asked_as=2))
    assert found.payload["blocked"] == 1


async def test_the_time_for_an_answer_is_over(book: BlockageBook, airflow: Airflow) -> None:
    book.note(record())
    found = await event(trigger(session_id="s", number=1, asked_as=1, deadline=1.0))
    assert found.payload["timeout"] == 1


async def test_a_limit_wakes_nobody_who_asks_but_whoever_watches(
    book: BlockageBook, airflow: Airflow
) -> None:
    book.note(record(kind=BlockageKind.QUOTA, options=()))
    asking = asyncio.create_task(event(trigger()))
    found = await event(trigger(BlockageTrigger, kinds=["quota"]))
    assert found.xcoms["return_value"]["kind"] == "quota"
    assert not asking.done()
    asking.cancel()


async def test_who_watches_for_other_kinds_is_skipped_with_the_agent(
    book: BlockageBook, airflow: Airflow
) -> None:
    book.note(record())
    airflow.states["agent"] = "success"
    assert isinstance(await event(trigger(BlockageTrigger, kinds=["login"])), TaskSkippedEvent)


async def test_a_blockage_that_came_and_went_unseen_counts(book: BlockageBook, airflow: Airflow) -> None:
    book.note(record(since=50.0))
    book.note(record(ended=True))
    airflow.states["agent"] = "success"
    found = await event(trigger(BlockageTrigger, since=40.0))
    assert found.xcoms["return_value"]["number"] == 1
    assert isinstance(await event(trigger(BlockageTrigger, since=60.0)), TaskSkippedEvent)


async def test_a_hundred_sleepers_ask_as_often_as_one(book: BlockageBook, airflow: Airflow) -> None:
    looks = Counter[str]()
    waiting = book.waiting

    def look() -> Any:
        looks["store"] += 1
        return waiting()

    book.waiting = look  # type: ignore[method-assign]
    tasks = [asyncio.create_task(event(trigger())) for _ in range(100)]
    await asyncio.sleep(1.0)
    assert 2 <= looks["store"] <= 25
    assert 1 <= airflow.asked["dag"] <= 25
    airflow.states["agent"] = "success"
    assert all(isinstance(found, TaskSkippedEvent) for found in await asyncio.gather(*tasks))


async def test_an_api_that_fails_ends_nobody(book: BlockageBook, airflow: Airflow) -> None:
    airflow.fails = True
    task = asyncio.create_task(event(trigger()))
    await asyncio.sleep(0.4)
    assert not task.done()
    airflow.fails, airflow.states["agent"] = False, "success"
    assert isinstance(await task, TaskSkippedEvent)


async def test_an_agent_that_was_deleted_is_over_after_some_looks(
    book: BlockageBook, airflow: Airflow
) -> None:
    airflow.states.clear()
    assert isinstance(await event(trigger()), TaskSkippedEvent)
    assert airflow.asked["dag"] >= 3


def test_a_mapped_agent_is_over_when_all_its_parts_are() -> None:
    states = {"a_0": "success", "a_1": "deferred", "a_x": "failed", "b": None}
    assert states_of("a", states) == ["success", "deferred"]
    assert states_of("b", states) == [None]
    assert states_of("a", {"a": None, "a_1": "success"}) == [None]


async def test_a_deadline_that_passed_while_the_store_is_away_costs_no_cpu(
    airflow: Airflow, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away() -> BlockageBook:
        raise RuntimeError("no store")

    monkeypatch.setattr(lookout, "open_book", away)
    monkeypatch.setattr(lookout, "_lookouts", {})
    looks = 0
    news = lookout.Watch.news

    async def count(self: lookout.Watch, seconds: float) -> None:
        nonlocal looks
        looks += 1
        await news(self, seconds)

    monkeypatch.setattr(lookout.Watch, "news", count)
    made = trigger(session_id="s", number=1, asked_as=1, deadline=1.0)
    waiting = asyncio.create_task(event(made))
    await asyncio.sleep(0.5)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    assert 1 <= looks <= 5


async def test_a_clock_that_was_set_back_holds_nobody_up(monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[float] = []

    async def sleep(seconds: float) -> None:
        waited.append(seconds)

    monkeypatch.setattr(margin.asyncio, "sleep", sleep)
    await margin.not_too_soon(time.time() + 3600)
    assert 0 < waited[0] <= 60
