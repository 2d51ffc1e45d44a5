"""Answers on their way to a blocked agent: real coordinator, real worker, an agent that speaks ACP."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from cis_provider.errors import InvalidAnswer, StaleAnswer
from cis_provider.model.blockage import Answer
from cis_provider.model.on_blocked import OnBlocked
from cis_provider.model.options import AgentOptions
from cis_provider.model.session import SessionRecord
from cis_provider.node.client import AsyncNodeClient, NodeClient

pytestmark = pytest.mark.integration


class Asking:
    """Sessions of an agent that asks, and what it was told."""

    def __init__(self, node: Any, home: Path) -> None:
        self.node = node
        self.home = home
        home.mkdir()

    def submit(self, prompt: str, task_id: str = "a", **changes: Any) -> str:
        """Have it work; the session's id."""
        options = AgentOptions(
            program=(sys.executable, "-m", "cis_provider.testing.fake_acp_agent"),
            on_blocked=changes.pop("rules", OnBlocked()),
        )
        env = {"FAKE_ACP_HOME": str(self.home), **changes.pop("env", {})}
        record = self.node.submit(prompt, task_id, agent_type="acp", options=options, env=env, **changes)
        return str(record.session_id)

    def blocked(self, session_id: str, number: int = 1) -> SessionRecord:
        """Wait until it asks question ``number``."""
        found: SessionRecord = self.node.wait(
            session_id, lambda record: record.blockage is not None and record.blockage.number == number
        )
        return found

    def answer(self, session_id: str, number: int, option: str = "yes", **more: Any) -> None:
        """Send an answer."""
        with NodeClient("test") as client:
            client.answer(session_id, Answer(number=number, option=option, by="cli:test", **more))

    def told(self) -> list[str]:
        """The commands that it was answered, and how, over all its programs."""
        records = [json.loads(line) for file in self.home.iterdir() for line in file.read_text().splitlines()]
        return [
            f"{one['answered']['rawInput']['command']}: {one['outcome'].get('optionId', 'cancelled')}"
            for one in records
            if isinstance(one.get("answered"), dict)
        ]


@pytest.fixture
def asking(node: Any, tmp_path: Path) -> Asking:
    return Asking(node, tmp_path / "acp")


def test_an_answer_reaches_the_agent_and_the_result_says_who_gave_it(asking: Asking) -> None:
    session_id = asking.submit("run npm test")
    record = asking.blocked(session_id)
    assert record.blockage is not None
    assert [option.id for option in record.blockage.options] == ["yes", "always", "no"]
    asking.answer(session_id, 1, "allow")
    ended = asking.node.ended(session_id)
    assert ended.result.subtype == "success", ended.result.error
    assert asking.told() == ["npm test: yes"]
    (settled,) = ended.result.answers
    assert (settled.number, settled.option, settled.by, settled.title) == (
        1,
        "Allow",
        "cli:test",
        "shell: npm test",
    )
    assert settled.asked_at <= settled.settled_at


def test_an_answer_that_is_sent_twice_is_delivered_once(asking: Asking) -> None:
    session_id = asking.submit("steps run one | run two")
    asking.blocked(session_id)
    asking.answer(session_id, 1, id="a1")
    asking.blocked(session_id, 2)
    asking.answer(session_id, 1, id="a1")
    with pytest.raises(
        StaleAnswer, match=r"question 1 was answered by cli:test \(Allow\) at .* question 2 now"
    ):
        asking.answer(session_id, 1, id="a2")
    with pytest.raises(InvalidAnswer, match=r"yes \(Allow\), always, no \(Reject\)"):
        asking.answer(session_id, 2, "perhaps")
    asking.answer(session_id, 2, "no")
    assert asking.node.ended(session_id).result.subtype == "success"
    assert asking.told() == ["one: yes", "two: no"]
    with pytest.raises(StaleAnswer, match="has ended"):
        asking.answer(session_id, 2, "no", id="late")


async def test_an_answer_may_be_sent_from_an_event_loop(asking: Asking) -> None:
    session_id = asking.submit("run ls")
    asking.blocked(session_id)
    async with AsyncNodeClient("test") as client:
        await client.answer(session_id, Answer(number=1, option="yes"))
    assert asking.node.ended(session_id).result.subtype == "success"


def test_a_rule_answers_and_nobody_is_asked(asking: Asking) -> None:
    session_id = asking.submit("steps run git log | run rm", rules=OnBlocked(permission="deny"))
    ended = asking.node.ended(session_id)
    assert ended.result.subtype == "success"
    assert asking.told() == ["git log: no", "rm: no"]
    assert [one.by for one in ended.result.answers] == ["rule:permission: deny"] * 2
