"""What one round of asking does, and that a round which was killed is made again without harm."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from cis_provider.context.blockages import BlockageBook, Entry
from cis_provider.context.store import ContextStore
from cis_provider.errors import InvalidAnswer, NodeUnreachable, StaleAnswer
from cis_provider.model.blockage import Answer, Blockage, BlockageKind, Option
from cis_provider.model.session import SessionKey, SessionRecord, SessionState
from cis_provider.sensors import round as round_module
from cis_provider.sensors.round import GRACE, Round, Rules, Sleep

AGENT = ("dag", "run", "agent")
OPTIONS = (Option("y", "Allow", "allow_once"), Option("n", "Deny", "reject_once"))


class Desk:
    """Notes what it is told; fails as it is told."""

    def __init__(self) -> None:
        self.shown: list[tuple[int, str, int, tuple[str, ...], str]] = []
        self.delivered: list[tuple[str, Answer]] = []
        self.ended: list[str] = []
        self.told: list[str] = []
        self.error: Exception | None = None

    def show(self, entry: Entry, asked_as: int, users: tuple[str, ...], note: str) -> None:
        self.shown.append((entry.key.map_index, entry.blockage.title, asked_as, users, note))

    def deliver(self, session_id: str, answer: Answer) -> None:
        if self.error:
            raise self.error
        self.delivered.append((session_id, answer))

    def end(self, session_id: str, reason: str) -> None:
        self.ended.append(reason)

    def secrets(self) -> dict[str, str]:
        return {"KEY": "new"}

    def tell(self, entry: Entry, why: str) -> None:
        self.told.append(why)


@pytest.fixture
def book(tmp_path: Path) -> BlockageBook:
    return BlockageBook(ContextStore.at(tmp_path / "context.db"))


@pytest.fixture(autouse=True)
def _hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(round_module, "NEXT", 0.0)


@pytest.fixture
def desk() -> Desk:
    return Desk()


def block(book: BlockageBook, number: int = 1, part: int = -1, session: str = "s", **more) -> None:
    given = {
        "kind": BlockageKind.PERMISSION,
        "title": f"t{number}",
        "options": OPTIONS,
        "since": float(number),
    }
    blockage = Blockage(number=number, **{**given, **more})
    key = SessionKey("dag", "run", "agent", part)
    book.note(
        SessionRecord(
            session_id=f"{session}{part if part >= 0 else ''}",
            key=key,
            try_number=1,
            max_tries=0,
            agent_id="agent",
            agent_type="claude",
            scope="global",
            worker="w",
            state=SessionState.RUNNING,
            blockage=blockage,
        )
    )


def turn(book: BlockageBook, desk: Desk, event: dict, **rules) -> Sleep:
    return Round(AGENT, Rules(**rules), book, desk, logging.getLogger("test")).go_on(event)


def filled(*options: str) -> dict:
    return {
        "chosen_options": list(options),
        "params_input": {},
        "responded_by_user": {"id": "a", "name": "a"},
    }


def test_a_question_is_asked_answered_and_not_asked_again(book: BlockageBook, desk: Desk) -> None:
    block(book)
    assert turn(book, desk, {"blocked": 1}, approvers=("ann",)) == Sleep("s", 1, 1)
    assert desk.shown == [(-1, "t1", 1, ("ann",), "")]
    assert turn(book, desk, filled("Allow (1)")) == Sleep()
    [(session, answer)] = desk.delivered
    assert (session, answer.number, answer.option, answer.by, answer.id) == (
        "s",
        1,
        "y",
        "ui:a",
        "form:s:1:1",
    )
    assert turn(book, desk, {"blocked": 1, "response": filled("Allow (1)")}) == Sleep()
    assert len(desk.delivered) == 1
    assert desk.told == ["asked"]


def test_a_stored_answer_goes_first_when_a_try_was_lost(book: BlockageBook, desk: Desk) -> None:
    block(book)
    turn(book, desk, {"blocked": 1})
    assert turn(book, desk, {"blocked": 1, "session_id": "s", "response": filled("Deny (1)")}) == Sleep()
    assert desk.delivered[0][1].option == "n"
    assert len(desk.shown) == 1


def test_an_answer_to_an_older_form_is_delivered_to_nobody(book: BlockageBook, desk: Desk) -> None:
    block(book)
    turn(book, desk, {"blocked": 1})
    turn(book, desk, filled("Allow (1)"))
    block(book, 2)
    assert turn(book, desk, {"blocked": 2, "response": filled("Allow (1)")}) == Sleep("s", 2, 2)
    assert len(desk.delivered) == 1
    assert desk.shown[-1][:3] == (-1, "t2", 2)


def test_an_answer_to_an_older_form_in_a_newer_one_brings_the_newer_one_back(
    book: BlockageBook, desk: Desk
) -> None:
    block(book)
    turn(book, desk, {"blocked": 1})
    turn(book, desk, filled("Allow (1)"))
    block(book, 2)
    for event in ({"blocked": 2}, filled("Allow (1)"), {"blocked": 2, "response": filled("Allow (1)")}):
        assert turn(book, desk, event) == Sleep("s", 2, 2)
    assert [shown[2] for shown in desk.shown] == [1, 2, 2, 2]
    assert len(desk.delivered) == 1
    assert desk.told == ["asked", "asked"], "who was told is not told again"


def test_another_session_with_the_same_number_gets_another_form_number(
    book: BlockageBook, desk: Desk
) -> None:
    block(book)
    turn(book, desk, {"blocked": 1})
    block(book, session="new")
    assert turn(book, desk, {"blocked": 1, "response": filled("Allow (1)")}) == Sleep("new", 1, 2)
    assert desk.delivered == []


def test_parts_of_a_mapped_agent_are_asked_one_after_another(book: BlockageBook, desk: Desk) -> None:
    block(book, part=0)
    block(book, part=1)
    assert turn(book, desk, {"blocked": 1}) == Sleep("s0", 1, 1)
    assert turn(book, desk, filled("Allow (1)")) == Sleep("s1", 1, 2)
    assert [shown[0] for shown in desk.shown] == [0, 1]
    turn(book, desk, filled("Deny (2)"))
    assert [session for session, _ in desk.delivered] == ["s0", "s1"]


def test_a_question_that_follows_at_once_is_asked_before_it_sleeps(
    book: BlockageBook, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(round_module, "NEXT", 10.0)
    block(book)
    turn(book, desk, {"blocked": 1})
    monkeypatch.setattr(round_module.time, "sleep", lambda _seconds: block(book, 2))
    assert turn(book, desk, filled("Allow (1)")) == Sleep("s", 2, 2)


def test_an_answer_that_is_not_taken_is_asked_for_again_under_a_new_number(
    book: BlockageBook, desk: Desk
) -> None:
    block(book)
    turn(book, desk, {"blocked": 1})
    desk.error = InvalidAnswer("no such option")
    assert turn(book, desk, filled("Allow (1)")) == Sleep("s", 1, 2)
    assert desk.shown[-1][2] == 2
    assert "no such option" in desk.shown[-1][4]


def test_an_answer_that_comes_too_late_is_noted(book: BlockageBook, desk: Desk) -> None:
    block(book)
    turn(book, desk, {"blocked": 1})
    desk.error = StaleAnswer("it went on")
    assert turn(book, desk, filled("Allow (1)")) == Sleep()
    assert len(desk.shown) == 1


def test_a_node_that_does_not_answer_leaves_the_answer_where_it_is(
    book: BlockageBook, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(round_module, "DELIVERY", 0.0)
    block(book)
    turn(book, desk, {"blocked": 1})
    desk.error = NodeUnreachable("away")
    with pytest.raises(NodeUnreachable):
        turn(book, desk, filled("Allow (1)"))
    desk.error = None
    turn(book, desk, {"blocked": 1, "response": filled("Allow (1)")})
    assert len(desk.delivered) == 1


def test_a_login_is_answered_with_the_secrets_of_now_which_are_not_kept(
    book: BlockageBook, desk: Desk
) -> None:
    block(book, kind=BlockageKind.LOGIN, options=())
    turn(book, desk, {"blocked": 1})
    turn(book, desk, filled("Try again, the login is mended (1)"))
    assert desk.delivered[0][1].secrets == {"KEY": "new"}
    [entry] = book.of_agent(AGENT)
    assert entry.answer is not None
    assert entry.answer.secrets == {}


def late(book: BlockageBook, desk: Desk, **rules) -> Sleep:
    """The time for an answer is over."""
    given = {"answer_timeout": 1.0, "after_timeout": "remind", **rules}
    [entry] = book.of_agent(AGENT)
    with book._store.cursor() as cursor:
        past = entry.asked_at - 2 - GRACE - 2 * entry.reminded
        cursor.execute("UPDATE cis_blockages SET asked_at = ?", (past,))
    return turn(book, desk, {"timeout": 1, "session_id": "s", "response": None}, **given)


def test_nobody_answers_and_is_reminded_again_and_again(book: BlockageBook, desk: Desk) -> None:
    block(book)
    turn(book, desk, {"blocked": 1}, answer_timeout=1.0)
    first = late(book, desk)
    assert late(book, desk).deadline > 0
    assert desk.told == ["asked", "reminder", "reminder"]
    assert first[:3] == ("s", 1, 1)
    assert len(desk.shown) == 1, "the form stays: an answer that is just given is not lost"


def test_an_escalation_calls_others_once(book: BlockageBook, desk: Desk) -> None:
    block(book)
    rules = {"approvers": ("ann",), "escalate_to": ("bob",), "after_timeout": "escalate"}
    turn(book, desk, {"blocked": 1}, answer_timeout=1.0, **rules)
    late(book, desk, **rules)
    late(book, desk, **rules)
    assert [shown[3] for shown in desk.shown] == [("ann",), ("ann", "bob")]
    assert desk.told == ["asked", "escalated", "reminder"]


def test_no_answer_is_a_no_where_the_file_says_so_and_never_a_yes(book: BlockageBook, desk: Desk) -> None:
    block(book)
    turn(book, desk, {"blocked": 1}, answer_timeout=1.0, after_timeout="deny")
    assert late(book, desk, after_timeout="deny") == Sleep()
    [(_, answer)] = desk.delivered
    assert (answer.option, answer.by) == ("n", "timeout:deny")


def test_where_nothing_says_no_the_agent_is_ended(book: BlockageBook, desk: Desk) -> None:
    block(book, options=OPTIONS[:1])
    turn(book, desk, {"blocked": 1}, answer_timeout=1.0, after_timeout="deny")
    late(book, desk, after_timeout="deny")
    assert desk.delivered == []
    assert "nobody answered within 1s" in desk.ended[0]


def test_an_answer_that_is_there_counts_for_more_than_the_time(book: BlockageBook, desk: Desk) -> None:
    block(book)
    turn(book, desk, {"blocked": 1}, answer_timeout=0.001, after_timeout="fail")
    event = {"timeout": 1, "session_id": "s", "response": filled("Allow (1)")}
    turn(book, desk, event, answer_timeout=0.001, after_timeout="fail")
    assert desk.ended == []
    assert len(desk.delivered) == 1
