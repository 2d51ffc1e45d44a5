"""Answers on their way to a blocked agent: real coordinator, real worker, an agent that speaks ACP."""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import pytest

from cis_provider import paths
from cis_provider.errors import InvalidAnswer, StaleAnswer
from cis_provider.model.blockage import Answer
from cis_provider.model.on_blocked import OnBlocked
from cis_provider.model.options import AgentOptions
from cis_provider.model.session import SessionRecord
from cis_provider.node.client import AsyncNodeClient, NodeClient
from cis_provider.worker import processes

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
            check=changes.pop("check", ""),
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


def test_a_prompt_has_the_values_of_its_names_and_they_are_masked(asking: Asking) -> None:
    session_id = asking.submit("say $${HOME} ${GREETING}", secrets={"GREETING": "hello ${HOME}"})
    ended = asking.node.ended(session_id)
    assert ended.result.output.strip() == "${HOME} ***"
    (told,) = asking.home.iterdir()
    assert '"prompt": "say ${HOME} hello ${HOME}"' in told.read_text()


def test_a_prompt_with_a_name_that_has_no_value_is_not_sent(asking: Asking) -> None:
    ended = asking.node.ended(asking.submit("say ${GREETING}"))
    assert (ended.result.subtype, ended.result.error) == ("unsupported", "its prompt: not set: GREETING")


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


def test_a_question_outlives_its_worker_and_is_asked_again_in_the_same_conversation(
    asking: Asking,
) -> None:
    session_id = asking.submit("steps run one | run two | say finished")
    asking.blocked(session_id)
    asking.answer(session_id, 1)
    asking.blocked(session_id, 2)
    asking.node.kill(asking.node.worker_pid())
    record = asking.blocked(session_id, 3)
    assert (record.resumed, record.settled[0].by) == (1, "cli:test")
    with pytest.raises(StaleAnswer, match=r"question 2 waits no more .* worker was lost.* question 3 now"):
        asking.answer(session_id, 2)
    asking.answer(session_id, 3)
    ended = asking.node.ended(session_id)
    assert ended.result.subtype == "success", ended.result.error
    assert ended.result.output.strip().endswith("finished")
    assert asking.told() == ["one: yes", "two: yes"]
    assert [one.number for one in ended.result.answers] == [1, 2, 3]
    log = (paths.session_dir(session_id) / "output.log").read_text()
    assert log.count("shell: one") >= 1, "what was printed before the loss is gone"
    assert record.output_bytes <= ended.output_bytes == len(log.encode())


def test_what_was_denied_before_a_kill_stands_in_the_result(asking: Asking) -> None:
    session_id = asking.submit("steps run one | run two | say ok")
    asking.blocked(session_id)
    asking.answer(session_id, 1, "no")
    asking.blocked(session_id, 2)
    asking.node.kill(asking.node.worker_pid())
    asking.blocked(session_id, 3)
    asking.answer(session_id, 3)
    ended = asking.node.ended(session_id)
    assert (ended.result.subtype, ended.resumed) == ("success", 1)
    assert ended.result.denied == ("shell: one",)


def test_everything_is_killed_while_blocked_and_the_next_look_brings_the_question_back(
    asking: Asking,
) -> None:
    session_id = asking.submit(
        "steps run one | say ok",
        env={"KEY": "${KEY}", "FAKE_ACP_DEAF": "1"},
        secrets={"KEY": "test-key-value"},
    )
    asking.blocked(session_id)
    worker, coordinator = asking.node.worker_pid(), asking.node.coordinator_pid()
    asking.node.kill(coordinator)
    asking.node.kill(worker)
    # Before anybody comes to look: an agent alone must not go on.
    asking.node.wait_until(lambda: not processes.belonging_to(session_id, -1), 5)
    with NodeClient("cli") as client:
        (record,) = client.sessions(alive=True)
    assert record.session_id == session_id
    record = asking.blocked(session_id, 2)
    assert record.resumed == 1
    asking.answer(session_id, 2)
    assert asking.node.ended(session_id).result.subtype == "success"
    assert asking.told() == ["one: yes"]


def test_a_mended_login_and_its_new_secret_outlive_workers(asking: Asking, tmp_path: Path) -> None:
    login = tmp_path / "login"
    session_id = asking.submit(
        "steps run one | say ok",
        env={"FAKE_ACP_LOGIN": str(login), "KEY": "${KEY}"},
        secrets={"KEY": "an-old-value"},
        check='test "$KEY $MORE" = "a-new-value more-of-it"',
    )
    assert asking.blocked(session_id).blockage.kind == "login"
    asking.node.kill(asking.node.worker_pid())
    assert asking.blocked(session_id, 2).blockage.kind == "login"
    login.touch()
    asking.answer(session_id, 2, "retry", secrets={"KEY": "a-new-value", "MORE": "more-of-it"})
    assert asking.blocked(session_id, 3).blockage.kind == "permission"
    asking.node.kill(asking.node.worker_pid())
    asking.blocked(session_id, 4)
    asking.answer(session_id, 4)
    ended = asking.node.ended(session_id)
    assert ended.result.subtype == "success", ended.result.error
    assert ended.resumed == 2
    for file in (file for file in asking.node.home.rglob("*") if file.is_file()):
        assert b"a-new-value" not in file.read_bytes().replace(b'"a-new-value more-of-it"', b""), file


def test_an_agent_whose_worker_dies_while_it_works_is_interrupted(asking: Asking) -> None:
    session_id = asking.submit("steps run one | hang")
    asking.blocked(session_id)
    asking.answer(session_id, 1)
    asking.node.wait(session_id, lambda record: bool(record.settled) and record.blockage is None)
    asking.node.kill(asking.node.worker_pid())
    ended = asking.node.ended(session_id)
    assert ended.result.subtype == "interrupted"
    assert [one.by for one in ended.result.answers] == ["cli:test"]


def test_an_end_that_was_asked_for_is_not_undone_by_the_death_of_the_worker(asking: Asking) -> None:
    session_id = asking.submit("run one")
    asking.blocked(session_id)
    worker = asking.node.worker_pid()
    os.kill(worker, signal.SIGSTOP)
    try:
        with NodeClient("test") as client:
            client.end(session_id, "its task was cleared")
    finally:
        asking.node.kill(worker)
    ended = asking.node.ended(session_id)
    assert (ended.result.subtype, ended.resumed) == ("killed", 0)
