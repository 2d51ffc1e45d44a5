"""Answers by number, under any order of questions, answers, kills and silence: never twice, never to another."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from cis_provider.errors import AnswerRefused, StaleAnswer
from cis_provider.model.blockage import Answer, Blockage, BlockageKind, Option
from cis_provider.model.on_blocked import OnBlocked
from cis_provider.worker.questions import Questions
from cis_provider.worker.takeover import Humans

OPTIONS = (Option("yes", "Allow", "allow_once"), Option("no", "Deny", "reject_once"))
IDS = st.sampled_from(["a", "b", "c", "d"])


class Asked:
    """One thing that the agent wants, and what it was told."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.told: list[Answer] = []
        self.refuses = False

    async def take(self, answer: Answer) -> None:
        await asyncio.sleep(0)
        if self.refuses:
            raise AnswerRefused("not now")
        self.told.append(answer)


class AnswersMachine(RuleBasedStateMachine):
    """A session's questions, against what a human may believe of them."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.folder = tempfile.TemporaryDirectory()
        self.path = Path(self.folder.name) / "blockages.jsonl"
        self.asked: dict[int, Asked] = {}
        self.open: set[int] = set()
        #: Answer id to the number that it was delivered to.
        self.delivered: dict[str, int] = {}
        self.highest = 0
        self.start()

    def teardown(self) -> None:
        self.loop.close()
        self.folder.cleanup()

    def start(self) -> None:
        async def make() -> Questions:
            return Questions(self.path, OnBlocked(), Humans())

        self.questions = self.loop.run_until_complete(make())
        assert not self.questions.waits

    def run(self, answer: Answer) -> str:
        try:
            self.loop.run_until_complete(self.questions.answer(answer))
        except StaleAnswer:
            return "stale"
        except AnswerRefused:
            return "refused"
        return "ok"

    @precondition(lambda self: len(self.open) < 3)
    @rule(refuses=st.booleans())
    def ask(self, refuses: bool) -> None:
        asked = Asked(f"question {len(self.asked)}")
        asked.refuses = refuses
        blockage = Blockage(number=1, kind=BlockageKind.PERMISSION, title=asked.name, options=OPTIONS)

        async def ask() -> int:
            return self.questions.open(blockage, asked.take).number

        number = self.loop.run_until_complete(ask())
        assert number == self.highest + 1, "a number is given once, in order"
        self.highest = number
        self.asked[number] = asked
        self.open.add(number)

    @precondition(lambda self: self.highest)
    @rule(data=st.data(), answer_id=IDS, option=st.sampled_from(["yes", "no"]))
    def answer(self, data: st.DataObject, answer_id: str, option: str) -> None:
        number = data.draw(st.integers(1, self.highest + 1))
        # A client sends what it sent before under the same id, and nothing else.
        number = self.delivered.get(answer_id, number)
        said = self.run(Answer(number=number, option=option, id=answer_id, by="cli"))
        if answer_id in self.delivered:
            assert said == "ok"
        elif number not in self.open:
            assert said == "stale"
        elif self.asked[number].refuses:
            assert said == "refused"
        else:
            assert said == "ok"
            self.delivered[answer_id] = number
            self.open.discard(number)

    @precondition(lambda self: self.open)
    @rule(data=st.data())
    def two_at_once(self, data: st.DataObject) -> None:
        number = data.draw(st.sampled_from(sorted(self.open)))
        if self.asked[number].refuses:
            return

        async def both() -> list[object]:
            ids = (f"x{number}", f"y{number}")
            answers = [Answer(number=number, option="yes", id=one) for one in ids]
            return await asyncio.gather(*map(self.questions.answer, answers), return_exceptions=True)

        results = self.loop.run_until_complete(both())
        assert sorted(type(one).__name__ for one in results) == ["NoneType", "StaleAnswer"]
        self.open.discard(number)

    @precondition(lambda self: self.open)
    @rule(data=st.data())
    def goes_on_by_itself(self, data: st.DataObject) -> None:
        number = data.draw(st.sampled_from(sorted(self.open)))

        async def gone() -> None:
            self.questions.gone(number)

        self.loop.run_until_complete(gone())
        self.open.discard(number)

    @rule(cut=st.booleans())
    def worker_is_killed(self, cut: bool) -> None:
        if cut and self.path.exists():
            with self.path.open("ab") as file:
                file.write(b'\n{"step":"asked","numb')
        self.start()
        self.open.clear()

    @invariant()
    def nobody_was_told_twice_or_another_s_answer(self) -> None:
        for number, asked in self.asked.items():
            assert len(asked.told) <= 1
            assert all(answer.number == number for answer in asked.told)
            assert not (asked.told and number in self.open)

    @invariant()
    def all_that_is_over_is_on_record_once(self) -> None:
        numbers = [one.number for one in self.questions.settled]
        assert sorted(numbers) == [number for number in range(1, self.highest + 1) if number not in self.open]


AnswersMachine.TestCase.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)
TestAnswers = AnswersMachine.TestCase
