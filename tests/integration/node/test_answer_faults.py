"""A process of the node is killed around an answer: then it arrives exactly once, or is asked for again."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cis_provider.errors import AnswerRefused, NodeUnreachable
from cis_provider.model.blockage import Answer
from cis_provider.model.session import SessionRecord
from cis_provider.node.client import NodeClient
from cis_provider.worker import journal
from tests.integration.node.test_answers import Asking

pytestmark = pytest.mark.integration

FAULTS = Path(__file__).parents[2] / "kit" / "faults"

#: In the order in which an answer passes them.
PLACES = (
    "cis_provider.worker.questions:Questions.open",
    "cis_provider.worker.journal:Journal.asked",
    "cis_provider.node.coordinator:Coordinator.answer",
    "cis_provider.node.delivery:_deliver_at",
    "cis_provider.worker.session:Session.answer",
    "cis_provider.worker.journal:Journal.answering",
    "cis_provider.runtimes.acp.waiting:Waiting.answer",
    "cis_provider.worker.questions:Questions._settle",
    "cis_provider.worker.journal:Journal.settled",
    "cis_provider.node.book:SessionBook.put_back",
)

#: Which of the two commands may run.
DECISIONS = {"shell: one": "yes", "shell: two": "no"}


@pytest.fixture
def arm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """Has a process killed at a place, which then takes the returned file away."""
    folder = tmp_path / "faults"
    folder.mkdir()
    monkeypatch.setenv("PYTHONPATH", str(FAULTS))
    monkeypatch.setenv("TEST_FAULTS", str(folder))
    monkeypatch.setenv("TEST_FAULT_PLACES", " ".join(PLACES))

    def make(fault: str) -> Path:
        (folder / fault).touch()
        return folder / fault

    return make


@pytest.fixture
def asking(node: Any, tmp_path: Path) -> Asking:
    return Asking(node, tmp_path / "acp")


def _decide(session_id: str) -> SessionRecord:
    """Answer whatever it asks, as a patient human would, until it has ended."""
    deadline = time.monotonic() + 40
    while time.monotonic() < deadline:
        with contextlib.suppress(NodeUnreachable, AnswerRefused), NodeClient("test") as client:
            (record,) = client.sessions(session_id=session_id)
            if record.has_ended:
                return record
            if asked := record.blockage:
                answer = Answer(
                    number=asked.number,
                    option=DECISIONS[asked.title],
                    by="cli:test",
                    id=f"{session_id}-{asked.number}",
                )
                client.answer(session_id, answer)
        time.sleep(0.05)
    raise AssertionError("it never ended")


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("when", ["before", "after"])
def test_an_answer_survives_a_kill(asking: Asking, arm: Callable[[str], Path], when: str, place: str) -> None:
    session_id = asking.submit("steps run one | run two | say done")
    asking.blocked(session_id)
    fault = arm(f"{when} {place}")
    if place.endswith("put_back"):
        asking.node.kill(asking.node.worker_pid())
    ended = _decide(session_id)
    assert not fault.exists(), "nobody was killed"
    told = asking.told()
    assert set(told) <= {"one: yes", "two: no", "one: cancelled", "two: cancelled"}, "an answer went astray"
    past = journal.read(journal.journal_file(asking.node.home / "sessions" / session_id))
    by_human = [one for one in past.settled if one.by == "cli:test"]
    assert len({one.number for one in by_human}) == len(by_human), "a question was answered twice"
    assert sum(one == "one: yes" for one in told) <= past.last, "an answer came twice"
    if ended.result.subtype == "interrupted":
        # The answer was there, and the agent at work again: the next try goes on from there.
        assert by_human
    else:
        assert ended.result.subtype == "success", ended.result.error
        assert {"one: yes", "two: no"} <= set(told)
