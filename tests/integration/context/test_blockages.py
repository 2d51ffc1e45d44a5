"""The story of blockages in the context store, on every kind of database."""

from __future__ import annotations

from pathlib import Path

import pytest

from cis_provider.context.blockages import BlockageBook
from cis_provider.context.store import ContextStore
from cis_provider.model.blockage import Answer, Blockage, BlockageKind, Option, Settled
from cis_provider.model.result import AgentResult
from cis_provider.model.session import SessionKey, SessionRecord, SessionState

pytestmark = pytest.mark.integration

KEY = SessionKey("dag", "run", "agent")
AGENT = ("dag", "run", "agent")


def blockage(number: int = 1, **more) -> Blockage:
    given = {"kind": BlockageKind.PERMISSION, "title": "rm -r \x00x", "since": 10.5 + number}
    return Blockage(number=number, **{**given, "options": (Option("y", "Allow"),), **more})


def record(session_id: str = "s1", key: SessionKey = KEY, **more) -> SessionRecord:
    given = {"state": SessionState.RUNNING, "agent_id": key.task_id, "agent_type": "claude"}
    return SessionRecord(
        session_id=session_id,
        key=key,
        try_number=1,
        max_tries=0,
        scope="global",
        worker="w",
        **{**given, **more},
    )


def settled(number: int = 1) -> Settled:
    return Settled(
        number=number, kind=BlockageKind.PERMISSION, title="rm", option="Allow", by="cli:me", settled_at=20.0
    )


@pytest.fixture
def book(store: ContextStore) -> BlockageBook:
    return BlockageBook(store)


def test_a_blockage_is_there_until_its_node_says_what_ended_it(book: BlockageBook) -> None:
    book.note(record(blockage=blockage()))
    book.note(record(blockage=blockage()))
    [waiting] = book.waiting()
    assert waiting.agent == AGENT
    assert (waiting.number, waiting.kind, waiting.state, waiting.since) == (1, "permission", "open", 11.5)
    [entry] = book.of_agent(AGENT)
    assert entry.blockage == blockage()
    book.note(record(settled=(settled(),)))
    assert book.waiting() == []
    [entry] = book.of_agent(AGENT)
    assert (entry.state, entry.settled) == ("settled", settled())


def test_an_end_that_nobody_explains_is_an_end(book: BlockageBook) -> None:
    book.note(record(blockage=blockage()))
    book.note(record())
    assert book.waiting() == []
    book.note(record(settled=(settled(),)))
    assert book.of_agent(AGENT)[0].settled == settled(), "told later"
    book.note(record())
    assert book.of_agent(AGENT)[0].settled == settled(), "and not forgotten"


def test_what_the_result_tells_of_answers_is_kept(book: BlockageBook) -> None:
    book.note(record(blockage=blockage()))
    result = AgentResult(session_id="s1", is_error=False, subtype="success", answers=(settled(),))
    book.note(record(state=SessionState.ENDED, result=result, blockage=blockage()))
    [entry] = book.of_agent(AGENT)
    assert (entry.state, entry.settled) == ("settled", settled())


def test_what_was_asked_and_answered_is_remembered_while_the_same_question_is_told_again(
    book: BlockageBook,
) -> None:
    book.note(record(blockage=blockage()))
    [entry] = book.of_agent(AGENT)
    book.asked(entry, 4)
    [entry] = book.of_agent(AGENT)
    assert entry.asked_as == 4
    first = entry.asked_at
    assert first > 0
    book.asked(entry, 4, reminded=1)
    book.note(record(blockage=blockage()))
    [entry] = book.of_agent(AGENT)
    assert (entry.asked_as, entry.asked_at, entry.reminded) == (4, first, 1)
    book.answered(entry, Answer(number=1, option="y", by="ui:me", secrets={"KEY": "value"}))
    book.note(record(blockage=blockage()))
    [entry] = book.of_agent(AGENT)
    assert entry.state == "answered"
    assert entry.answer == Answer(number=1, option="y", by="ui:me")


def test_the_same_number_with_another_beginning_is_another_question(book: BlockageBook) -> None:
    book.note(record(blockage=blockage()))
    [entry] = book.of_agent(AGENT)
    book.asked(entry, 1)
    book.answered(entry, Answer(number=1, option="y"))
    book.note(record(blockage=blockage(since=99.0)))
    [entry] = book.of_agent(AGENT)
    assert (entry.state, entry.asked_at, entry.answer) == ("open", 0.0, None)
    assert entry.asked_as == 1, "its form's number is not given out again"


def test_a_session_ends_what_older_ones_of_its_task_waited_for(book: BlockageBook) -> None:
    other = SessionKey("dag", "run", "agent", 3)
    book.note(record("old", blockage=blockage()))
    book.note(record("mapped", key=other, blockage=blockage()))
    book.note(record("new", blockage=blockage(2)))
    assert [(one.session_id, one.map_index) for one in book.waiting()] == [("mapped", 3), ("new", -1)]
    book.settle_others(KEY, "newer")
    assert [one.session_id for one in book.waiting()] == ["mapped"]
    book.settle(AGENT)
    assert book.waiting() == []


def test_a_late_word_of_an_older_session_ends_nothing_of_the_next(book: BlockageBook) -> None:
    book.note(record("s2", created_at=11.0, blockage=blockage()))
    book.note(record("s1", created_at=5.0, state=SessionState.ENDED))
    assert [one.session_id for one in book.waiting()] == ["s2"]


def test_a_limit_that_ends_by_itself_asks_nobody(book: BlockageBook) -> None:
    book.note(record(blockage=blockage(kind=BlockageKind.RATE_LIMIT, options=())))
    assert book.waiting()[0].state == "waits"


def test_agents_that_ended_lately_are_found(store: ContextStore) -> None:
    result = AgentResult(session_id="s", is_error=False, subtype="success", output="x")
    store.save(KEY, try_number=1, agent_type="shell", result=result, ended_at=100.0)
    assert BlockageBook(store).ended_since(99.0) == {AGENT}
    assert BlockageBook(store).ended_since(101.0) == set()


def test_a_store_of_the_first_version_gets_the_new_tables_and_keeps_its_outputs(tmp_path: Path) -> None:
    from contextlib import closing

    from cis_provider.context import schema
    from cis_provider.context.sqlite import open_file

    path = tmp_path / "context.db"
    with closing(open_file(path)) as connection, schema.transaction(connection) as cursor:
        cursor.execute("CREATE TABLE cis_schema (version INTEGER NOT NULL)")
        for statement in schema.STEPS[0]:
            cursor.execute(statement)
        cursor.execute("INSERT INTO cis_schema (version) VALUES (1)")
    store = ContextStore.at(path)
    result = AgentResult(session_id="s", is_error=False, subtype="success", output="x")
    store.save(KEY, try_number=1, agent_type="shell", result=result)
    BlockageBook(store).note(record(blockage=blockage()))
    assert len(BlockageBook(ContextStore.at(path)).waiting()) == 1
